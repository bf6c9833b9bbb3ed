"""Reading memories: the feed that indexes follow, rows by id, and counts."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, Protocol

import pyarrow as pa

from recall_daemon.index.seen import Seen
from recall_daemon.store import ledger, vectors
from recall_daemon.store.seen import condition
from recall_daemon.store.store import Connection, Store


@dataclass(frozen=True)
class StoredRow:
    """What a hit shows of a live memory besides its fields, as of `change_no`.

    `seq` is the snapshot that its newest version came with. No more than that: each column takes a
    tenth of a millisecond for ten rows of 1,000,000. A cold one has no text here: it is row
    `cold_row` of file `cold_file`; `text_missing` is why it could not be fetched, where somebody
    tried.
    """

    row_id: int
    change_no: int
    memory_id: str
    text: str | None
    seq: int
    tier: str
    summary: str | None
    cold_file: int | None
    cold_row: int | None
    text_missing: str | None = None


FEED_BYTES = 64 << 20
_LISTED_MAX = 100

_ROW = ", ".join(field.name for field in fields(StoredRow) if field.name != "text_missing")

_CHANGE = (
    "row_id, change_no, state = 'live' AS live, system_id, memory_id, kind, text, text_hash, "
    "created_at, project, namespace, session_id, agent_id, user_id, tags, importance, tier"
)


def row_changes(connection: Connection, after: int, limit: int) -> pa.Table:
    """Rows with a higher change_no than `after`, lowest first.

    At most `limit` rows and, past the first, `FEED_BYTES` of text.
    """
    return connection.sql(
        f"""
        WITH next AS (
            SELECT change_no, coalesce(strlen(text), 0) AS bytes
            FROM memories WHERE change_no > $after ORDER BY change_no LIMIT $limit
        ), bounded AS (
            SELECT change_no FROM next WINDOW whole AS (ORDER BY change_no)
            QUALIFY row_number() OVER whole = 1 OR sum(bytes) OVER whole <= $max_bytes
        )
        SELECT {_CHANGE} FROM memories
        WHERE change_no > $after AND change_no <= (SELECT max(change_no) FROM bounded)
        ORDER BY change_no
        """,
        params={"after": after, "limit": limit, "max_bytes": FEED_BYTES},
    ).to_arrow_table()


def rows_now(connection: Connection, row_ids: Sequence[int]) -> pa.Table:
    """The live rows among `row_ids`, in the columns of `row_changes`."""
    return connection.sql(
        f"SELECT {_CHANGE} FROM memories WHERE state = 'live' AND row_id IN "
        "(SELECT unnest($row_ids::BIGINT[]))",
        params={"row_ids": list(row_ids)},
    ).to_arrow_table()


def live_fields(connection: Connection) -> tuple[pa.Table, int]:
    """What an index keeps of every live row in memory, and the last change at that moment."""
    connection.execute("BEGIN")
    try:
        rows = connection.sql(
            "SELECT row_id, change_no, text_hash, created_at, system_id, project, kind, "
            "session_id, agent_id, user_id, namespace, tags, importance FROM memories "
            "WHERE state = 'live'"
        ).to_arrow_table()
        return rows, last_change(connection)
    finally:
        connection.execute("ROLLBACK")


def last_change(connection: Connection) -> int:
    """The number of the last change that was committed."""
    rows = connection.execute("SELECT value FROM counters WHERE name = 'change_no'").fetchall()
    return int(rows[0][0])


def by_row_ids(connection: Connection, row_ids: Sequence[int]) -> dict[int, StoredRow]:
    """The live rows among `row_ids`, by id."""
    if not row_ids:
        return {}
    rows = _with_ids(connection, _ROW, row_ids)
    return {row[0]: StoredRow(*row) for row in rows}


def texts_of(connection: Connection, row_ids: Sequence[int]) -> dict[int, str | None]:
    """The texts of the live rows among `row_ids`, by id."""
    if not row_ids:
        return {}
    rows = _with_ids(connection, "row_id, text", row_ids)
    return {int(row_id): text for row_id, text in rows}


def _with_ids(
    connection: Connection, columns: str, row_ids: Sequence[int]
) -> list[tuple[Any, ...]]:
    """A list of a few is looked up in half the time that a join takes, one of many in double.

    Planning is much of it: numbers as they stand and one condition less save a quarter.
    """
    listed = len(row_ids) <= _LISTED_MAX
    these = ", ".join(str(int(i)) for i in row_ids) if listed else "SELECT unnest(?::BIGINT[])"
    rows = connection.execute(
        f"SELECT {columns}, state FROM memories WHERE row_id IN ({these})",
        [] if listed else [list(row_ids)],
    ).fetchall()
    return [row[:-1] for row in rows if row[-1] == "live"]


def find_ids(connection: Connection, ids: Sequence[str]) -> list[int]:
    """The row ids of live rows that one of these names, ascending: MEMORY_ID, of whichever system,
    or SYSTEM/MEMORY_ID.

    A few at a time: with so many a list is found by the index in half the time of a join.
    """
    return [row_id for row_id, _, _ in find_named(connection, ids)]


def find_named(connection: Connection, ids: Sequence[str]) -> list[tuple[int, str, str | None]]:
    """As `find_ids`, with the system and the project of each: enough to say who may read it."""
    if not ids:
        return []
    wanted = set(ids)
    # A system's id has no slash, a memory's may have some.
    likely = sorted({*wanted, *(one.partition("/")[2] for one in wanted)} - {""})
    these = ", ".join("?" * len(likely))
    rows = connection.execute(
        "SELECT row_id, system_id, memory_id, project FROM memories "
        f"WHERE state = 'live' AND memory_id IN ({these}) ORDER BY row_id",
        likely,
    ).fetchall()
    return [
        (int(row_id), system_id, project)
        for row_id, system_id, memory_id, project in rows
        if memory_id in wanted or f"{system_id}/{memory_id}" in wanted
    ]


def forgotten(connection: Connection, system_id: str, memory_ids: Sequence[str]) -> set[str]:
    """Those of the ids that name a memory of the system that was forgotten."""
    rows = connection.execute(
        "SELECT memory_id FROM memories WHERE system_id = ? AND state = 'forgotten' "
        "AND memory_id IN (SELECT unnest(?::VARCHAR[]))",
        [system_id, list(memory_ids)],
    ).fetchall()
    return {str(row[0]) for row in rows}


def states(connection: Connection, names: Sequence[tuple[str, str]]) -> dict[tuple[str, str], str]:
    """The states of those of these (system_id, memory_id) that have a row, live or not."""
    wanted = set(names)
    found = states_of_ids(connection, sorted({memory_id for _, memory_id in names}))
    return {name: state for name, state in found.items() if name in wanted}


def states_of_ids(connection: Connection, memory_ids: Sequence[str]) -> dict[tuple[str, str], str]:
    """By (system_id, memory_id) the states of all rows with one of these ids, live or not."""
    if not memory_ids:
        return {}
    rows = connection.execute(
        "SELECT system_id, memory_id, state FROM store.memories "
        "WHERE memory_id IN (SELECT unnest(?::VARCHAR[]))",
        [list(memory_ids)],
    ).fetchall()
    return {(row[0], row[1]): row[2] for row in rows}


def owners(
    connection: Connection, names: Sequence[tuple[str, str]]
) -> dict[tuple[str, str], tuple[str | None, str | None]]:
    """By (system_id, memory_id) the agent and the user of those that have a row, live or not."""
    if not names:
        return {}
    rows = connection.execute(
        "SELECT system_id, memory_id, agent_id, user_id FROM store.memories "
        "WHERE memory_id IN (SELECT unnest(?::VARCHAR[]))",
        [sorted({memory_id for _, memory_id in names})],
    ).fetchall()
    wanted = set(names)
    return {(row[0], row[1]): (row[2], row[3]) for row in rows if (row[0], row[1]) in wanted}


def counts(
    connection: Connection,
    projects: Collection[str] | None = None,
    seen: Seen | None = None,
) -> dict[str, int]:
    """Live rows per system; of some projects, or of all; those alone that `seen` lets pass."""
    where = "" if projects is None else "AND list_contains(?::VARCHAR[], project)"
    passing, values = condition(seen)
    rows = connection.execute(
        "SELECT system_id, count(*) FROM memories "
        f"WHERE state = 'live' {where} AND {passing} GROUP BY system_id",
        [*([] if projects is None else [list(projects)]), *values],
    ).fetchall()
    return {system_id: int(count) for system_id, count in rows}


class FarTexts(Protocol):
    """Where the texts of cold rows come from; see `tiers.fetch`."""

    def with_texts(self, rows: Mapping[int, StoredRow]) -> dict[int, StoredRow]: ...

    def cold_texts(self, row_ids: Sequence[int]) -> dict[int, str]: ...


class StoreFeed:
    """What the index and the search read, each call with a cursor of its own.

    Without `far` cold rows stay without their texts. Made before anything is merged: `opened_at`
    is the last change there was then.
    """

    def __init__(
        self, store: Store, space_id: Callable[[], str | None], far: FarTexts | None = None
    ) -> None:
        self._store = store
        self._space_id = space_id
        self._far = far
        self.opened_at = self.last_change()

    @property
    def space_id(self) -> str | None:
        """The space whose vectors are fed; None while there is no model."""
        return self._space_id()

    @property
    def store_id(self) -> str:
        """Another one for each store that the same change_no may mean something else in."""
        with self._store.read() as connection:
            return ledger.fact(connection, ledger.STORE_ID) or ""

    def last_change(self) -> int:
        with self._store.read() as connection:
            return last_change(connection)

    def live_fields(self) -> tuple[pa.Table, int]:
        with self._store.read() as connection:
            return live_fields(connection)

    def row_changes(self, after: int, limit: int) -> pa.Table:
        with self._store.read() as connection:
            return row_changes(connection, after, limit)

    def rows_now(self, row_ids: Sequence[int]) -> pa.Table:
        with self._store.read() as connection:
            return rows_now(connection, row_ids)

    def vector_changes(self, space_id: str, after: int, limit: int) -> pa.Table:
        with self._store.read() as connection:
            return vectors.changes(connection, space_id, after, limit)

    def vectors_of(self, space_id: str, text_hashes: Sequence[str]) -> pa.Table:
        with self._store.read() as connection:
            return vectors.changes_of(connection, space_id, text_hashes)

    def rows(self, row_ids: Sequence[int]) -> dict[int, StoredRow]:
        if not row_ids:
            return {}
        with self._store.look_up() as connection:
            return by_row_ids(connection, row_ids)

    def local_texts(self, row_ids: Sequence[int]) -> dict[int, str | None]:
        with self._store.look_up() as connection:
            return texts_of(connection, row_ids)

    def with_texts(self, rows: Mapping[int, StoredRow]) -> dict[int, StoredRow]:
        """The same rows; cold ones have their text, or say in `text_missing` why not."""
        return self._far.with_texts(rows) if self._far else dict(rows)

    def find_ids(self, ids: Sequence[str]) -> list[int]:
        with self._store.look_up() as connection:
            return find_ids(connection, ids)

    def cold_texts(self, row_ids: Sequence[int]) -> dict[int, str]:
        """The texts of cold rows, by row id. Raises `TransientError` where the bucket is away."""
        return self._far.cold_texts(row_ids) if self._far else {}
