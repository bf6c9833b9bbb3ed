"""SQLite databases in use, locked, damaged, or made to harm."""

from __future__ import annotations

import os
import sqlite3
import threading
from contextlib import closing
from pathlib import Path

import pytest

from recall_uploader.sources.mapping import TableName
from recall_uploader.sources.sqlite_copy import SQLiteFile, copy_sqlite
from recall_wire.errors import SourceBusy, SourceInvalid

NOTES = TableName("main", "notes")


def connect(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(path, isolation_level=None, timeout=30)


@pytest.fixture
def database(tmp_path: Path) -> Path:
    path = tmp_path / "it's #1?.db"
    with closing(connect(path)) as connection:
        connection.execute("CREATE TABLE notes (id INTEGER PRIMARY KEY, body TEXT)")
        connection.execute("INSERT INTO notes VALUES (1, 'one')")
    return path


@pytest.fixture
def scratch(tmp_path: Path) -> Path:
    folder = tmp_path / "scratch"
    folder.mkdir()
    return folder


def rows(copy: Path) -> list[tuple[object, ...]]:
    return list(SQLiteFile(copy).stream(NOTES, ["id", "body"]))


def test_what_is_in_the_log_alone_is_read(database: Path, scratch: Path) -> None:
    with closing(connect(database)) as owner:
        owner.execute("PRAGMA journal_mode = WAL")
        owner.execute("INSERT INTO notes VALUES (2, 'two')")
        owner.execute("BEGIN IMMEDIATE")
        owner.execute("INSERT INTO notes VALUES (3, 'not committed')")
        assert rows(copy_sqlite(database, scratch)) == [(1, b"one"), (2, b"two")]
        owner.execute("COMMIT")
    assert rows(copy_sqlite(database, scratch)) == [
        (1, b"one"),
        (2, b"two"),
        (3, b"not committed"),
    ]


def test_nothing_is_left_beside_the_source(database: Path, scratch: Path) -> None:
    with closing(connect(database)) as owner:
        owner.execute("PRAGMA journal_mode = WAL")
    before = sorted(os.listdir(database.parent)), database.read_bytes()
    assert rows(copy_sqlite(database, scratch)) == [(1, b"one")]
    assert (sorted(os.listdir(database.parent)), database.read_bytes()) == before


def test_a_log_being_written_all_the_time(database: Path, scratch: Path) -> None:
    with closing(connect(database)) as owner:
        owner.execute("PRAGMA journal_mode = WAL")
    stop = threading.Event()

    def write() -> None:
        with closing(connect(database)) as writer:
            number = 1
            while not stop.is_set():
                number += 2
                writer.execute("BEGIN")
                writer.execute("INSERT INTO notes VALUES (?, 'a')", (number,))
                writer.execute("INSERT INTO notes VALUES (?, 'b')", (number + 1,))
                writer.execute("COMMIT")

    with closing(connect(database)):  # keeps the log there while the writer begins
        thread = threading.Thread(target=write)
        thread.start()
        try:
            for number in range(10):
                folder = scratch / str(number)
                folder.mkdir()
                # Each transaction wrote two rows: half a one would show.
                assert len(rows(copy_sqlite(database, folder))) % 2 == 1
        finally:
            stop.set()
            thread.join()


def test_a_database_that_stays_locked(database: Path, scratch: Path) -> None:
    with closing(connect(database)) as owner:
        owner.execute("BEGIN EXCLUSIVE")
        with pytest.raises(SourceBusy, match="is locked by another program"):
            copy_sqlite(database, scratch, busy_max=2)
    assert rows(copy_sqlite(database, scratch)) == [(1, b"one")]


def test_damaged_files(database: Path, scratch: Path) -> None:
    with closing(connect(database)) as owner:
        owner.executemany("INSERT INTO notes VALUES (?, ?)", ((n, "x" * 500) for n in range(2, 99)))
    whole = database.read_bytes()
    for damaged in (whole[:6000], whole[:5000] + b"\xff" * 4000 + whole[9000:], whole[:100]):
        database.write_bytes(damaged)
        with pytest.raises(SourceInvalid, match="damaged"):
            rows(copy_sqlite(database, scratch))
    database.write_bytes(b"SQLite format 3\0" + os.urandom(5000))
    with pytest.raises(SourceInvalid, match="damaged or encrypted"):
        rows(copy_sqlite(database, scratch))


def test_a_file_that_is_not_there(tmp_path: Path, scratch: Path) -> None:
    with pytest.raises(SourceInvalid):
        copy_sqlite(tmp_path / "absent.db", scratch)


def test_only_stored_columns_of_base_tables(database: Path, scratch: Path) -> None:
    with closing(connect(database)) as owner:
        owner.execute("CREATE VIEW loud AS SELECT upper(body) FROM notes")
        owner.execute("CREATE VIRTUAL TABLE words USING fts5(body)")
        owner.execute("ALTER TABLE notes ADD COLUMN bomb AS (zeroblob(1000000000))")
    file = SQLiteFile(copy_sqlite(database, scratch))
    assert file.columns(NOTES) == ["id", "body"]
    kinds = {table.name: table.kind for table in file.tables}
    assert (kinds["notes"], kinds["loud"], kinds["words"]) == ("table", "view", "virtual")


def test_stored_order_whatever_indexes_there_are(database: Path, scratch: Path) -> None:
    with closing(connect(database)) as owner:
        owner.execute("CREATE TABLE t (id TEXT, body TEXT)")
        owner.executemany("INSERT INTO t VALUES (?, ?)", [("b", "1"), ("a", "2"), ("c", "3")])
        owner.execute("CREATE INDEX covering ON t (id)")
    file = SQLiteFile(copy_sqlite(database, scratch))
    ids = [identity for (identity,) in file.stream(TableName("main", "t"), ["id"])]
    assert ids == [b"b", b"a", b"c"]
