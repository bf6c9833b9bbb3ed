"""The ledger: what became of each snapshot, and where each system stands."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from recall_daemon.store.store import Connection

Origin = Literal["bucket", "push", "bare", "journal"]
State = Literal["waiting", "merging", "merged", "quarantined", "dropped", "refused", "ignored"]

# `waiting` and `merging` are tried again by themselves. A refused snapshot (a number far beyond its
# system's others), and one ignored by hand, have no place in the system's order.
_DONE = "('merged', 'dropped')"
_OUT_OF_ORDER = "('refused', 'ignored')"


@dataclass(frozen=True)
class Place:
    """A snapshot's place in its system's order: the higher (seq, sub) wins."""

    system_id: str
    seq: int
    sub: int = 0

    def __str__(self) -> str:
        return f"{self.system_id}/{self.seq}" + (f".{self.sub}" if self.sub else "")


@dataclass(frozen=True)
class Entry:
    """One line of the ledger. `locator` is the key it came from; `etag` that of its manifest."""

    place: Place
    origin: Origin
    locator: str
    state: State
    first_seen_at: datetime
    etag: str | None = None
    kind: str | None = None
    manifest_sha256: str | None = None
    rows: int = 0
    deletes: int = 0
    bytes: int = 0
    rows_done: int = 0
    reason: str | None = None
    created_at: datetime | None = None
    settled_at: datetime | None = None

    @property
    def is_uncompared(self) -> bool:
        """True for one that was merged by push and was not seen in the bucket yet."""
        return is_uncompared(self.state, self.origin, self.etag)


def is_uncompared(state: State, origin: Origin, etag: str | None) -> bool:
    return state == "merged" and origin == "push" and etag is None


_COLUMNS = (
    "system_id, seq, sub, origin, locator, etag, state, kind, manifest_sha256, rows, deletes, "
    "bytes, rows_done, reason, created_at, first_seen_at, settled_at"
)


def record(connection: Connection, entry: Entry) -> None:
    """Write an entry, replacing the one at its place. Closes the system's run of posts."""
    place = entry.place
    connection.execute(
        "UPDATE systems SET run_seq = NULL, run_sub = NULL, run_rows = NULL "
        "WHERE system_id = ? AND run_seq IS NOT NULL",
        [place.system_id],
    )
    connection.execute(
        f"INSERT OR REPLACE INTO snapshots ({_COLUMNS}) VALUES ({', '.join('?' * 17)})",
        [
            *(place.system_id, place.seq, place.sub, entry.origin, entry.locator, entry.etag),
            *(entry.state, entry.kind, entry.manifest_sha256, entry.rows, entry.deletes),
            *(entry.bytes, entry.rows_done, entry.reason, entry.created_at),
            *(entry.first_seen_at, entry.settled_at),
        ],
    )


def find(connection: Connection, place: Place) -> Entry | None:
    entries = _select(
        connection,
        "system_id = ? AND seq = ? AND sub = ?",
        [place.system_id, place.seq, place.sub],
    )
    return entries[0] if entries else None


def entries(
    connection: Connection, state: State, *, system_id: str | None = None, noted: bool = False
) -> list[Entry]:
    """The entries in one state, in order; only those with a reason where `noted`."""
    where = "state = ? AND system_id = coalesce(?, system_id)"
    where += " AND reason IS NOT NULL" if noted else ""
    return _select(connection, where, [state, system_id])


def differing(connection: Connection, *, system_id: str | None = None) -> list[Entry]:
    """Merged by push, while the bucket holds another snapshot of that number: `reason` says so."""
    merged = entries(connection, "merged", system_id=system_id, noted=True)
    return [entry for entry in merged if entry.origin == "push"]


def journaled(connection: Connection, system_id: str, locator: str) -> bool:
    """Whether an entry of the hub's journal was applied to a system."""
    return bool(
        _select(
            connection,
            "system_id = ? AND origin = 'journal' AND locator = ?",
            [system_id, locator],
        )
    )


def newest_bare(connection: Connection) -> dict[str, Entry]:
    """The newest entry of each bare object, by key."""
    found = _select(connection, "origin = 'bare'", [])
    return {entry.locator: entry for entry in found}


@dataclass(frozen=True)
class Known:
    """What the ledger says of one number."""

    state: State
    etag: str | None
    origin: Origin = "bucket"

    @property
    def in_order(self) -> bool:
        """False for a number that was refused: it says nothing about its system's order."""
        return self.state not in ("refused", "ignored")

    @property
    def is_uncompared(self) -> bool:
        return is_uncompared(self.state, self.origin, self.etag)


def close_older_bare(connection: Connection, newest: Entry) -> None:
    """An object that was overwritten: what is still open of its older versions is void."""
    place = newest.place
    connection.execute(
        "UPDATE snapshots SET state = 'ignored' WHERE origin = 'bare' AND locator = ? "
        "AND (seq, sub) <> (?, ?) AND state IN ('waiting', 'merging', 'quarantined')",
        [newest.locator, place.seq, place.sub],
    )


def known_seqs(connection: Connection, system_id: str) -> dict[int, Known]:
    """The numbered snapshots that the ledger knows."""
    rows = connection.execute(
        "SELECT seq, state, etag, origin FROM snapshots WHERE system_id = ? AND sub = 0",
        [system_id],
    ).fetchall()
    return {int(seq): Known(*known) for seq, *known in rows}


def highest_settled(connection: Connection, system_id: str) -> int:
    """The highest number that was merged (or dropped by hand); 0 where there is none."""
    rows = connection.execute(
        f"SELECT coalesce(max(seq), 0) FROM snapshots "
        f"WHERE system_id = ? AND sub = 0 AND state IN {_DONE}",
        [system_id],
    ).fetchall()
    return int(rows[0][0])


def list_after(connection: Connection, system_id: str) -> int:
    """The number above which a head that changed can have news.

    The highest settled one. Or one below the first that was merged by push, was not seen in the
    bucket, and is covered by no earlier head: those were looked for then.
    """
    rows = connection.execute(
        "SELECT min(seq) FROM snapshots JOIN systems USING (system_id) "
        "WHERE system_id = ? AND sub = 0 AND seq > coalesce(head_seq, 0) "
        "AND state = 'merged' AND origin = 'push' AND etag IS NULL",
        [system_id],
    ).fetchall()
    highest = highest_settled(connection, system_id)
    return highest if rows[0][0] is None else min(highest, int(rows[0][0]) - 1)


def next_sub(connection: Connection, system_id: str) -> Place:
    """The next free place after the highest merged seq, for what came without a number."""
    seq = highest_settled(connection, system_id)
    rows = connection.execute(
        "SELECT coalesce(max(sub), 0) + 1 FROM snapshots WHERE system_id = ? AND seq = ?",
        [system_id, seq],
    ).fetchall()
    return Place(system_id, seq, int(rows[0][0]))


def newest(connection: Connection, system_id: str) -> Entry | None:
    """What has the last place in a system's order, of all that has come after its highest merged
    seq or has that; None where nothing has come."""
    # Two plain questions: one with a question inside takes twice as long to plan.
    rows = connection.execute(
        f"SELECT {_COLUMNS} FROM snapshots WHERE system_id = ? AND seq = ? "
        "ORDER BY sub DESC LIMIT 1",
        [system_id, highest_settled(connection, system_id)],
    ).fetchall()
    return _entry(rows[0]) if rows else None


def merged_places(connection: Connection, system_ids: Collection[str]) -> set[tuple[str, int]]:
    """(system_id, seq) of the merged snapshots of these systems that have a number of their own."""
    rows = connection.execute(
        "SELECT system_id, seq FROM snapshots WHERE sub = 0 AND state = 'merged' "
        "AND system_id IN (SELECT unnest(?::VARCHAR[]))",
        [list(system_ids)],
    ).fetchall()
    return {(system_id, int(seq)) for system_id, seq in rows}


def merged_ranges(connection: Connection) -> dict[str, list[tuple[int, int]]]:
    """Per system the numbers of its merged snapshots, as inclusive ranges, ascending."""
    rows = connection.execute(
        """
        SELECT system_id, min(seq), max(seq) FROM (
            SELECT system_id, seq,
                   seq - row_number() OVER (PARTITION BY system_id ORDER BY seq) AS island
            FROM snapshots WHERE sub = 0 AND seq > 0 AND state = 'merged'
        ) GROUP BY system_id, island ORDER BY system_id, island
        """
    ).fetchall()
    found: dict[str, list[tuple[int, int]]] = {}
    for system_id, first, last in rows:
        found.setdefault(system_id, []).append((int(first), int(last)))
    return found


@dataclass(frozen=True)
class Gap:
    """Numbers `first`..`last` are absent although a later snapshot is there since `noticed_at`."""

    system_id: str
    first: int
    last: int
    noticed_at: datetime


def gaps(connection: Connection, *, system_id: str | None = None) -> list[Gap]:
    """Every hole below a known snapshot, as inclusive ranges, lowest first."""
    rows = connection.execute(
        f"""
        SELECT system_id, previous + 1, seq - 1, noticed_at FROM (
            SELECT system_id, seq, first_seen_at AS noticed_at,
                   lag(seq, 1, 0) OVER (PARTITION BY system_id ORDER BY seq) AS previous
            FROM (
                SELECT system_id, seq, first_seen_at FROM snapshots
                WHERE sub = 0 AND seq > 0 AND state NOT IN {_OUT_OF_ORDER}
                UNION ALL
                -- A head that points above every snapshot: those up to it are missing too.
                SELECT system_id, head_seq + 1, head_changed_at FROM systems s
                WHERE head_seq > coalesce((
                    SELECT max(seq) FROM snapshots
                    WHERE system_id = s.system_id AND sub = 0 AND state NOT IN {_OUT_OF_ORDER}
                ), 0)
            )
        ) WHERE seq > previous + 1 AND system_id = coalesce(?, system_id)
        ORDER BY system_id, seq
        """,
        [system_id],
    ).fetchall()
    return [Gap(*row) for row in rows]


def complete_to(connection: Connection, *, system_id: str | None = None) -> dict[str, int]:
    """Per system the highest N such that everything up to N is merged, or was dropped by hand."""
    rows = connection.execute(
        f"""
        SELECT system_id, max(seq) FROM (
            SELECT system_id, seq,
                   row_number() OVER (PARTITION BY system_id ORDER BY seq) AS position
            FROM snapshots WHERE sub = 0 AND seq > 0 AND state IN {_DONE}
            AND system_id = coalesce(?, system_id)
        ) WHERE seq = position GROUP BY system_id
        """,
        [system_id],
    ).fetchall()
    return {name: int(seq) for name, seq in rows}


@dataclass(frozen=True)
class System:
    """What the hub remembers of one system between polls."""

    system_id: str
    first_seen_at: datetime
    machine: str | None = None
    instance_id: str | None = None
    clash: str | None = None
    head_etag: str | None = None
    head_seq: int | None = None
    head_changed_at: datetime | None = None
    ack_sha256: str | None = None
    last_merged_at: datetime | None = None


_SYSTEM_COLUMNS = (
    "system_id, first_seen_at, machine, instance_id, clash, head_etag, head_seq, "
    "head_changed_at, ack_sha256, last_merged_at"
)


def systems(connection: Connection, *, system_id: str | None = None) -> dict[str, System]:
    rows = connection.execute(
        f"SELECT {_SYSTEM_COLUMNS} FROM systems "
        "WHERE system_id = coalesce(?, system_id) ORDER BY system_id",
        [system_id],
    ).fetchall()
    return {row[0]: System(*row) for row in rows}


def see_system(connection: Connection, system_id: str, now: datetime) -> None:
    """Make sure the system has its line. Idempotent."""
    connection.execute(
        "INSERT INTO systems (system_id, first_seen_at) VALUES (?, ?) ON CONFLICT DO NOTHING",
        [system_id, now],
    )


def update_system(connection: Connection, system_id: str, **values: object) -> None:
    """Set columns of a system's line."""
    assignments = ", ".join(f"{name} = ?" for name in values)
    connection.execute(
        f"UPDATE systems SET {assignments} WHERE system_id = ?", [*values.values(), system_id]
    )


# The fact that tells one history of changes from another: an index is of one of them.
STORE_ID = "store_id"


def fact(connection: Connection, name: str) -> str | None:
    """One of the hub's own facts, such as its id."""
    rows = connection.execute("SELECT value FROM facts WHERE name = ?", [name]).fetchall()
    return rows[0][0] if rows else None


def set_fact(connection: Connection, name: str, value: str) -> None:
    connection.execute("INSERT OR REPLACE INTO facts VALUES (?, ?)", [name, value])


def drop_fact(connection: Connection, name: str) -> None:
    connection.execute("DELETE FROM facts WHERE name = ?", [name])


def _select(
    connection: Connection, where: str, parameters: list[object] | dict[str, object]
) -> list[Entry]:
    rows = connection.execute(
        f"SELECT {_COLUMNS} FROM snapshots WHERE {where} ORDER BY system_id, seq, sub", parameters
    ).fetchall()
    return [_entry(row) for row in rows]


def _entry(row: tuple[object, ...]) -> Entry:
    values = dict(zip(_COLUMNS.split(", "), row, strict=True))
    place = Place(values.pop("system_id"), values.pop("seq"), values.pop("sub"))  # type: ignore[arg-type]
    return Entry(place=place, **values)  # type: ignore[arg-type]
