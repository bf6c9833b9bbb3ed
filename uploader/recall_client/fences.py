"""The locks of a `with client.lock(…)` block: what is changed in it carries their fences.

Kept per task and thread, so that another thread of the same client does not write under a lock that
it did not take.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

from recall_client.answers import Answer


class LockRefused(Exception):
    """The lock of a `with` block was not given; `answer` says why."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(answer["message"])
        self.answer = answer


@dataclass(frozen=True, slots=True)
class Held:
    """A lock that a block holds. `fence` is its fencing token; `expires_at` is ISO 8601, as of
    when it was taken."""

    memory_id: str
    system_id: str
    fence: int
    expires_at: str

    @classmethod
    def of(cls, answer: Answer) -> Held:
        """Raises `LockRefused`."""
        if answer["status"] != "success":
            raise LockRefused(answer)
        lock: Mapping[str, Any] = answer["lock"]
        return cls(lock["memory_id"], lock["system_id"], lock["fence"], lock["expires_at"])


@dataclass(frozen=True, slots=True)
class Fences:
    """Of one client."""

    _held: ContextVar[Mapping[str, int]] = field(
        default_factory=lambda: ContextVar("recall_client_fences")
    )

    def of(self, memory_id: Any) -> int | None:
        held = self._held.get({})
        return held.get(memory_id) if isinstance(memory_id, str) else None

    @contextmanager
    def carried(self, memory_id: str, held: Held) -> Iterator[None]:
        """In the block the memory's fence is known, under the name it was asked for by, and in
        full."""
        before = self._held.get({})
        full = f"{held.system_id}/{held.memory_id}"
        self._held.set({**before, memory_id: held.fence, full: held.fence})
        try:
            yield
        finally:
            self._held.set(before)
