"""What an instance is asked, and what both ways of asking give back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

Protocol = Literal["mcp", "plain"]

TOOL = "quick_search"


@dataclass(frozen=True)
class Question:
    """A search: `limit` memories of at least `min_score`; an empty query means all there are."""

    query: str = ""
    limit: int = 100
    min_score: float = 0.0
    project: str | None = None

    def arguments(self) -> dict[str, Any]:
        asked = {"query": self.query, "limit": self.limit, "min_score": self.min_score}
        return asked if self.project is None else {**asked, "project": self.project}


@dataclass(frozen=True)
class Said:
    """The result as it came, and what the instance calls itself."""

    result: object
    name: str | None = None
