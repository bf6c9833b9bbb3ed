"""A consistent copy of the store in a file of its own, and what is in it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from recall_daemon.store import audit, journal, ledger
from recall_daemon.store.aside import copy_rows
from recall_daemon.store.schema import version
from recall_daemon.store.store import Connection, Store

Range = tuple[int, int]


@dataclass(frozen=True)
class ColdFile:
    """An object that holds the texts of cold rows. `sha256` as hex."""

    key: str
    sha256: str
    bytes: int
    rows: int


@dataclass(frozen=True)
class CopyContents:
    """What a store held at the instant of its copy.

    `merged`: per system the numbers of its merged snapshots as inclusive ranges, ascending.
    """

    hub_id: str
    schema_version: int
    change_no: int
    journal_no: int
    rows: int
    logical_hash: str
    space_id: str | None
    merged: dict[str, list[Range]]
    cold_files: list[ColdFile]


def copy_store(store: Store, path: Path) -> CopyContents:
    """Write the store as it is at one instant into a new file at `path`; returns what is in it.

    Ingest and search go on meanwhile, but the store's log cannot be cut off until this returns.
    The copy is written row by row: nothing that was deleted is in it, and no log lies beside it.
    """
    with store.read() as connection, _attached(connection, path):
        copy_rows(connection, "copy")
        connection.execute("USE copy")
        return contents(connection)


@contextmanager
def _attached(connection: Connection, path: Path) -> Iterator[None]:
    quoted = str(path).replace("'", "''")
    connection.execute(f"ATTACH '{quoted}' AS copy")
    try:
        yield
    finally:
        connection.execute("USE store")
        connection.execute("DETACH copy")


def contents(connection: Connection) -> CopyContents:
    """What the database in use holds."""
    spaces = connection.execute("SELECT space_id FROM spaces WHERE state = 'serving'").fetchall()
    return CopyContents(
        hub_id=ledger.fact(connection, "hub_id") or "",
        schema_version=version(connection),
        change_no=audit.last_change(connection),
        journal_no=journal.last(connection),
        rows=live_rows(connection),
        logical_hash=audit.logical_hash(connection),
        space_id=spaces[0][0] if spaces else None,
        merged=ledger.merged_ranges(connection),
        cold_files=cold_files(connection),
    )


def live_rows(connection: Connection) -> int:
    rows = connection.execute("SELECT count(*) FROM memories WHERE state = 'live'").fetchall()
    return int(rows[0][0])


def cold_files(connection: Connection) -> list[ColdFile]:
    """The objects that rows need, in the order they were made."""
    rows = connection.execute(
        "SELECT key, sha256, bytes, rows FROM cold_files WHERE retired_at IS NULL ORDER BY file_no"
    ).fetchall()
    return [ColdFile(*row) for row in rows]
