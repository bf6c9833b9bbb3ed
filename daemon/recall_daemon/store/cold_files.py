"""The cold files: which there are, which rows need them, and rows that turn cold."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

import pyarrow as pa

from recall_daemon.store import purge
from recall_daemon.store.merge import CONTENT_HASH_SQL
from recall_daemon.store.store import Connection, next_numbers

# What leaves a row when it turns cold.
FAR = ("text", "metadata")

# A cold file's columns: a row can be had from it alone. The far ones last, so that they lie
# together in each row group.
COLUMNS = (
    "row_id, content_hash, text_hash, system_id, memory_id, kind, created_at, updated_at, "
    "project, namespace, session_id, agent_id, user_id, tags, importance, parent_id, "
    "base_version, merged_at, text, metadata"
)
SORTED_BY = ("system_id", "session_id", "created_at", "row_id")


@dataclass(frozen=True)
class ColdFile:
    """An immutable Parquet object of `size` bytes.

    `footer`: its last bytes, from the metadata on; `digests`: 16 bytes for each row group, over
    its far columns.
    """

    file_no: int
    key: str
    sha256: str
    size: int
    rows: int
    footer: bytes
    digests: bytes
    created_at: datetime
    retired_at: datetime | None = None


@dataclass(frozen=True)
class Usage:
    """How much of a cold file of `size` bytes is needed: `live` of its `rows`."""

    file_no: int
    rows: int
    size: int
    live: int


_FILE = "file_no, key, sha256, bytes, rows, footer, digests, created_at, retired_at"


def reserve(connection: Connection) -> int:
    """A number for a file that is about to be written, inside the running transaction."""
    return next_numbers(connection, "cold_file", 1)


def contents(connection: Connection, row_ids: Sequence[int]) -> pa.Table:
    """`COLUMNS` of the warm rows among `row_ids`, in the order of a cold file."""
    return connection.sql(
        f"SELECT {COLUMNS} FROM memories WHERE state = 'live' AND tier = 'warm' "
        f"AND row_id IN (SELECT unnest(?::BIGINT[])) ORDER BY {', '.join(SORTED_BY)}",
        params=[list(row_ids)],
    ).to_arrow_table()


def differing(connection: Connection, rows: pa.Table) -> int:
    """How many rows of a cold file do not have the content that their content_hash says."""
    connection.register("read_back", rows)
    try:
        found = connection.execute(
            f"SELECT count(*) FROM read_back WHERE content_hash <> {CONTENT_HASH_SQL}"
        ).fetchall()
    finally:
        connection.unregister("read_back")
    return int(found[0][0])


def make_cold(connection: Connection, file: ColdFile, rows: pa.Table) -> int:
    """Register a file and turn its rows cold inside the running transaction; returns how many.

    `rows` has row_id, content_hash, summary and cold_row. A row that has changed since it was read
    is left alone: its copy in the file is dead. Once only for each file.
    """
    _insert(connection, file)
    connection.register("moved", rows)
    try:
        done = connection.execute(
            "UPDATE store.memories SET tier = 'cold', text = NULL, metadata = NULL, "
            "summary = coalesce(memories.summary, moved.summary), cold_file = ?, "
            "cold_row = moved.cold_row FROM moved "
            "WHERE memories.row_id = moved.row_id AND memories.content_hash = moved.content_hash "
            "AND memories.state = 'live' AND memories.tier = 'warm'",
            [file.file_no],
        ).fetchall()
        _ask_for_purge(connection)
    finally:
        connection.unregister("moved")
    return int(done[0][0])


def repoint(
    connection: Connection, file: ColdFile, rows: pa.Table, old: Sequence[int], now: datetime
) -> int:
    """Register a file and point rows to it that still point to the old place; retire old files.

    Inside the running transaction. `rows` has row_id, old_file, old_row and cold_row. Returns how
    many rows.
    """
    _insert(connection, file)
    connection.register("moved", rows)
    try:
        done = connection.execute(
            "UPDATE store.memories SET cold_file = ?, cold_row = moved.cold_row FROM moved "
            "WHERE memories.row_id = moved.row_id AND memories.cold_file = moved.old_file "
            "AND memories.cold_row = moved.old_row",
            [file.file_no],
        ).fetchall()
        _ask_for_purge(connection)
    finally:
        connection.unregister("moved")
    retire(connection, old, now)
    return int(done[0][0])


def _ask_for_purge(connection: Connection) -> None:
    """A row that was forgotten while its file was being written lies dead in it."""
    found = connection.execute(
        "SELECT 1 FROM store.memories WHERE state = 'forgotten' "
        "AND row_id IN (SELECT row_id FROM moved) LIMIT 1"
    ).fetchall()
    if found:
        purge.ask(connection)


def retire(connection: Connection, file_nos: Sequence[int], now: datetime) -> int:
    """Mark those of the files that no row needs, inside the running transaction. Idempotent."""
    done = connection.execute(
        "UPDATE store.cold_files SET retired_at = ? WHERE retired_at IS NULL "
        "AND file_no IN (SELECT unnest(?::BIGINT[])) AND file_no NOT IN ("
        "    SELECT cold_file FROM store.memories WHERE cold_file IS NOT NULL)",
        [now, list(file_nos)],
    ).fetchall()
    return int(done[0][0])


def remove(connection: Connection, file_no: int) -> None:
    """Forget a retired file whose object is gone. Idempotent."""
    connection.execute(
        "DELETE FROM store.cold_files WHERE file_no = ? AND retired_at IS NOT NULL", [file_no]
    ).fetchall()


def find(connection: Connection, file_nos: Iterable[int]) -> dict[int, ColdFile]:
    """The files with those numbers, retired ones too."""
    return _select(connection, "file_no IN (SELECT unnest(?::BIGINT[]))", [list(file_nos)])


def retired(connection: Connection, before: datetime) -> list[ColdFile]:
    """The files that no row needs since `before` or longer."""
    return list(_select(connection, "retired_at <= ?", [before]).values())


def keys(connection: Connection) -> set[str]:
    """The key of every registered file, retired ones too."""
    return {row[0] for row in connection.execute("SELECT key FROM cold_files").fetchall()}


def usage(connection: Connection) -> list[Usage]:
    """The files in use, oldest first."""
    rows = connection.execute(
        "SELECT file_no, c.rows, c.bytes, coalesce(live, 0) FROM cold_files c LEFT JOIN ("
        "    SELECT cold_file AS file_no, count(*) AS live FROM memories "
        "    WHERE cold_file IS NOT NULL GROUP BY cold_file) USING (file_no) "
        "WHERE retired_at IS NULL ORDER BY file_no"
    ).fetchall()
    return [Usage(*row) for row in rows]


def pointing(connection: Connection, file_no: int) -> pa.Table:
    """row_id, content_hash and cold_row of the rows that need a file, by cold_row."""
    return connection.sql(
        "SELECT row_id, content_hash, cold_row FROM memories WHERE cold_file = ? ORDER BY cold_row",
        params=[file_no],
    ).to_arrow_table()


@dataclass(frozen=True)
class ColdPlace:
    """Where a cold row's text is."""

    row_id: int
    file_no: int
    row: int


def places(connection: Connection, row_ids: Iterable[int]) -> list[ColdPlace]:
    """Where the texts of the live cold rows among `row_ids` are."""
    rows = connection.execute(
        "SELECT row_id, cold_file, cold_row FROM memories WHERE state = 'live' AND tier = 'cold' "
        "AND row_id IN (SELECT unnest(?::BIGINT[]))",
        [list(row_ids)],
    ).fetchall()
    return [ColdPlace(*row) for row in rows]


def was_begun(connection: Connection) -> bool:
    """True once a number for a cold file was ever taken."""
    rows = connection.execute("SELECT value FROM counters WHERE name = 'cold_file'").fetchall()
    return bool(rows[0][0])


def sample(connection: Connection, count: int) -> list[int]:
    """At most `count` live cold rows, drawn anew each time."""
    rows = connection.execute(
        "SELECT row_id FROM memories WHERE state = 'live' AND tier = 'cold' "
        f"USING SAMPLE {int(count)} ROWS (reservoir)"
    ).fetchall()
    return [row[0] for row in rows]


_NEAR = COLUMNS.replace(", text, metadata", "").replace("row_id, ", "", 1)


def confirmed(connection: Connection, fetched: pa.Table) -> set[int]:
    """The rows whose far columns are what the store's content hash says.

    `fetched` has row_id, text and metadata. The hash is taken over those and the row's own fields.
    """
    connection.register("fetched", fetched)
    try:
        rows = connection.execute(
            f"SELECT row_id FROM (SELECT row_id, {_NEAR}, fetched.text, fetched.metadata "
            "FROM (SELECT * EXCLUDE (text, metadata) FROM memories WHERE state = 'live' "
            "      AND row_id IN (SELECT row_id FROM fetched)) JOIN fetched USING (row_id)) "
            f"WHERE content_hash = {CONTENT_HASH_SQL}"
        ).fetchall()
    finally:
        connection.unregister("fetched")
    return {row[0] for row in rows}


def _insert(connection: Connection, file: ColdFile) -> None:
    connection.execute(
        f"INSERT INTO store.cold_files ({_FILE}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        [
            *(file.file_no, file.key, file.sha256, file.size, file.rows, file.footer),
            *(file.digests, file.created_at, file.retired_at),
        ],
    ).fetchall()


def _select(connection: Connection, where: str, values: list[object]) -> dict[int, ColdFile]:
    rows = connection.execute(
        f"SELECT {_FILE} FROM cold_files WHERE {where} ORDER BY file_no", values
    ).fetchall()
    return {row[0]: ColdFile(*row) for row in rows}
