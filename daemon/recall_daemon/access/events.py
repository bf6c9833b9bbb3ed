"""Which events somebody sees, and what of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from recall_daemon.search.reach import EVERYTHING, Reach
from recall_daemon.store.events import Event

# Of a whole system, counts and reasons that quote its data: more than whoever may see a part of it
# may know.
_OF_ALL = ("rows", "deletes", "changed", "bytes", "reason")


@dataclass(frozen=True)
class Wanted:
    """What is asked for, within reach: empty `kinds` and `systems` mean all of them.

    What concerns the whole hub is for those who see everything; what is of one memory for those who
    see all of its system: which one it is of tells of it.
    """

    reach: Reach = EVERYTHING
    kinds: frozenset[str] = frozenset()
    systems: frozenset[str] = frozenset()

    def holds(self, event: Event) -> bool:
        if self.kinds and event.kind not in self.kinds:
            return False
        if event.system_id is None:
            return self.reach.is_everything and not self.systems
        if self.systems and event.system_id not in self.systems:
            return False
        if "memory_id" in event.body and not self.reach.holds_whole_systems:
            return False
        return self.reach.holds_system(event.system_id)

    def to_json(self, event: Event) -> dict[str, Any]:
        """`{event_id, happened_at, kind, system_id, body}`."""
        hidden = () if self.reach.holds_whole_systems else _OF_ALL
        return {
            "event_id": event.event_id,
            "happened_at": event.happened_at.isoformat(),
            "kind": event.kind,
            "system_id": event.system_id,
            "body": {name: value for name, value in event.body.items() if name not in hidden},
        }
