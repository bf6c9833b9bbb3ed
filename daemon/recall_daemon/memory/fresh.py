"""New memories that come with rows of side tables, where no memory may have their names yet."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from recall_daemon.errors import MemoryExists, MemoryNotFound
from recall_daemon.store import memories
from recall_daemon.store.side_tables import Row
from recall_daemon.store.store import Connection
from recall_wire.errors import RecallError

Name = tuple[str, str]


@dataclass(frozen=True)
class Fresh:
    """`names`: (system_id, memory_id) of the new ones. `parents`: what must be live then, or be
    among them. `beside`: rows by side table, for the same transaction. `answer` is kept with the
    idempotency key, and told to a retry."""

    names: frozenset[Name]
    parents: frozenset[Name] = frozenset()
    beside: Mapping[str, Sequence[Row]] = field(default_factory=dict)
    answer: str = ""


class Names:
    """Which names are taken, as the posts of one transaction are accepted one after another."""

    def __init__(self, connection: Connection, posts: Iterable[Fresh]) -> None:
        asked = {name for post in posts for name in post.names | post.parents}
        self._states = memories.states(connection, sorted(asked))

    def accept(self, post: Fresh) -> RecallError | None:
        """Why the post cannot be stored; else its names are taken from now on."""
        for name in sorted(post.names):
            if name in self._states:
                return MemoryExists(
                    f"there is a memory {name[1][:60]!r} already, or there was one",
                    hint="update it, or take another memory_id",
                )
        for name in sorted(post.parents - post.names):
            if self._states.get(name) != "live":
                return MemoryNotFound("the parent is not there any more")
        self._states |= dict.fromkeys(post.names, "live")
        return None
