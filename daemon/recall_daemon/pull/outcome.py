"""What became of a pull: of each instance, and of all."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from recall_daemon.pull.answer import said

Json = dict[str, Any]

ERRORS_MAX = 100
ID_MAX_CHARS = 200


@dataclass
class Outcome:
    """Of one instance. `note`: what it has and did not give. `lacking`: texts to be embedded."""

    url: str
    system_id: str | None = None
    speaks: str | None = None
    fetched: int = 0
    synced: int = 0
    note: str | None = None
    errors: list[Json] = field(default_factory=list)
    failed: bool = False
    lacking: set[str] = field(default_factory=set, repr=False)

    def add_error(self, error: str, memory_id: str | None = None) -> None:
        if len(self.errors) < ERRORS_MAX:
            told = None if memory_id is None else memory_id[:ID_MAX_CHARS]
            self.errors.append({"url": self.url, "memory_id": told, "error": said(error)})
        elif len(self.errors) == ERRORS_MAX:
            self.errors.append({"url": self.url, "memory_id": None, "error": "and more like these"})

    def fail(self, error: str) -> None:
        self.failed = True
        self.add_error(error)

    def to_json(self) -> Json:
        return {
            "url": self.url,
            "system_id": self.system_id,
            "speaks": self.speaks,
            "memories_fetched": self.fetched,
            "memories_synced": self.synced,
            "note": self.note,
            "failed": self.failed,
        }


def summary(outcomes: list[Outcome], embedded: int) -> Json:
    """`success`: every instance answered, and every memory of its answer is stored."""
    errors = [error for outcome in outcomes for error in outcome.errors]
    return {
        "success": not errors,
        "memories_fetched": sum(outcome.fetched for outcome in outcomes),
        "memories_synced": sum(outcome.synced for outcome in outcomes),
        "embeddings_generated": embedded,
        "errors": errors,
        "instances": [outcome.to_json() for outcome in outcomes],
    }
