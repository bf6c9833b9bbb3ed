"""What a memory has beside its content: its served version, its memory tier, its deletion."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, fields
from datetime import datetime
from typing import Literal

from recall_daemon.store import side_tables, statements
from recall_daemon.store.store import Connection

MemoryTier = Literal["short", "medium", "long"]


@dataclass(frozen=True)
class Life:
    """`head`: the version that is served; None: what its system said last.

    `memory_tier` None: it does not decay. `deletion_id`: it is deleted, and by what.
    """

    system_id: str
    memory_id: str
    head: str | None = None
    memory_tier: MemoryTier | None = None
    anchor_importance: float | None = None
    anchored_at: datetime | None = None
    pinned: bool = False
    deletion_id: int | None = None

    @property
    def is_weighed(self) -> bool:
        """Whether what comes in for it is weighed, and not simply taken."""
        return self.head is not None or self.deletion_id is not None


_COLUMNS = ", ".join(field.name for field in fields(Life))

Name = tuple[str, str]


def find(connection: Connection, system_id: str, memory_id: str) -> Life:
    """The memory's life; one without a row has the defaults."""
    found = find_all(connection, [(system_id, memory_id)])
    return found.get((system_id, memory_id), Life(system_id, memory_id))


def find_all(connection: Connection, names: Sequence[Name]) -> dict[Name, Life]:
    """Those of a few hundred memories that have a row."""
    if not names:
        return {}
    systems, ids = sorted({name[0] for name in names}), sorted({name[1] for name in names})
    rows = statements.run(
        connection,
        f"SELECT {_COLUMNS} FROM store.lives "
        f"WHERE memory_id IN {statements.places(1, len(ids))} "
        f"AND system_id IN {statements.places(1, len(systems))}",
        [*ids, *systems],
    ).fetchall()
    wanted = set(names)
    return {(row[0], row[1]): Life(*row) for row in rows if (row[0], row[1]) in wanted}


def weighed(connection: Connection, system_id: str) -> bool:
    """Whether a system has a memory whose versions are weighed."""
    rows = statements.run(
        connection,
        "SELECT 1 FROM store.lives WHERE system_id = ? "
        "AND (head IS NOT NULL OR deletion_id IS NOT NULL) LIMIT 1",
        [system_id],
    ).fetchall()
    return bool(rows)


def serve(connection: Connection, life: Life) -> None:
    """Write the head of a life, the rest of which stands, for who writes the journal themselves."""
    changed = statements.run(
        connection,
        "UPDATE store.lives SET head = ? WHERE memory_id = ? AND system_id = ? RETURNING 1",
        [life.head, life.memory_id, life.system_id],
    ).fetchall()
    if not changed:  # replacing takes four times as long
        side_tables.write(connection, "lives", [asdict(life)])


def put(connection: Connection, lives: Iterable[Life], now: datetime) -> None:
    """Write lives, in the running transaction and its journal."""
    side_tables.put(connection, "lives", [asdict(life) for life in lives], now)
