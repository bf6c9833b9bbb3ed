"""A DuckDB file rewritten without its secrets."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb
import pytest
from made_up import ALNUM, MadeUp

from recall_uploader.redact.raw import redact_database
from recall_uploader.redact.redactor import Redactor
from recall_wire.errors import SourceInvalid
from recall_wire.formats import ReadOptions, open_source
from recall_wire.records import Record

Make = Callable[..., Path]

MADE = MadeUp(23)
TOKEN = MADE.token("gh" + "p_", 36)
OTHER = MADE.token("gh" + "p_", 36)
WORD = MADE.password()
KEY = MADE.pem()
_SESSION_BUDDY = (
    "CREATE TABLE conversations_v2 (id VARCHAR PRIMARY KEY, content VARCHAR NOT NULL,"
    " project VARCHAR, importance_score FLOAT DEFAULT 0.5, timestamp TIMESTAMP,"
    " session_id VARCHAR, metadata JSON)"
)
_EVERY_TYPE = """
CREATE TABLE "o s"."T x" (
    "Id A" INTEGER PRIMARY KEY DEFAULT 4, l VARCHAR[], f VARCHAR[2],
    s STRUCT(a VARCHAR, "b c" INTEGER), m MAP(VARCHAR, VARCHAR),
    n MAP(INTEGER, STRUCT(x VARCHAR[])[]), u UNION(i INTEGER, s VARCHAR), j JSON, b BLOB,
    g VARCHAR GENERATED ALWAYS AS (l[1]), v VARIANT, e ENUM('it''s', '<token>'),
    d DECIMAL(10, 2), t TIMESTAMPTZ
)
"""
_EVERY_VALUE = """
INSERT INTO "o s"."T x" VALUES (
    1, ['<token>', NULL], ['x', '<token>'], {'a': '<token>', 'b c': 7},
    MAP {'<token>': '<other>'}, MAP {5: [{'x': ['<token>']}, NULL]}, '<token>',
    '{"a": "<token>", "n": 1}', '<token>'::BLOB, '<token>'::VARIANT, '<token>', 1.50,
    '2026-01-02 03:04:05+00'
)
"""
_NULLS = """
INSERT INTO "o s"."T x" ("Id A", u, b, e) VALUES (2, 7, '\\xFF\\x00'::BLOB, 'it''s')
"""
_COLUMNS = """
SELECT table_name, column_name, data_type, column_default FROM duckdb_columns()
WHERE NOT internal ORDER BY ALL
"""


@pytest.fixture
def make(tmp_path: Path) -> Make:
    def database(*statements: str) -> Path:
        path = tmp_path / "source.duckdb"
        with connected(path) as connection:
            for statement in statements:
                connection.execute(statement)
        return path

    return database


@contextmanager
def connected(path: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    connection = duckdb.connect(str(path))
    try:
        yield connection
    finally:
        connection.close()


def rewrite(source: Path, redactor: Redactor | None = None) -> tuple[Path, int]:
    target = source.with_name("target.duckdb")
    count = redact_database(source, target, redactor or Redactor(), source.parent)
    assert not Path(f"{target}.wal").exists()
    return target, count


def rows(path: Path, query: str) -> list[tuple[object, ...]]:
    with connected(path) as connection:
        return connection.execute(query).fetchall()


def records(path: Path) -> list[Record]:
    with open_source(path, ReadOptions(scratch_dir=path.parent)) as source:
        return list(source.records())


def holds(path: Path, secret: str) -> bool:
    return any(line.encode() in path.read_bytes() for line in secret.split("\n") if len(line) > 20)


def test_the_same_records_come_out_apart_from_the_secrets(make: Make) -> None:
    source = make(
        _SESSION_BUDDY,
        "INSERT INTO conversations_v2 VALUES"
        f" ('a', 'use {TOKEN} now', 'p', 0.5, '2026-01-02', 's', NULL)",
        "INSERT INTO conversations_v2"
        " SELECT 'n' || i, 'plain ' || i, 'p', 0.1, NULL, 's', '{\"n\":1}' FROM range(5000) t(i)",
        f"INSERT INTO conversations_v2 VALUES ('k', '{KEY}', NULL, NULL, NULL, NULL, NULL)",
    )
    redactor = Redactor()
    target, count = rewrite(source, redactor)
    assert count == 2
    assert redactor.counts == {"github-token": 1, "private-key": 1}
    expected = [Redactor().record(record) for record in records(source)]
    assert [r.row_hash() for r in records(target)] == [r.row_hash() for r in expected]
    assert holds(source, TOKEN)
    assert not holds(target, TOKEN)
    assert not holds(target, KEY)


def test_every_type_of_value_is_looked_into(make: Make) -> None:
    source = make(
        'CREATE SCHEMA "o s"',
        *(
            statement.replace("<token>", TOKEN).replace("<other>", OTHER)
            for statement in (_EVERY_TYPE, _EVERY_VALUE, _NULLS)
        ),
    )
    target, count = rewrite(source)
    assert count == 11
    assert not holds(target, TOKEN)
    assert not holds(target, OTHER)
    gone = "[redacted:github-token]"
    (first, second) = rows(target, 'SELECT * FROM "o s"."T x" ORDER BY ALL')
    assert first[:4] == (1, [gone, None], ("x", gone), {"a": gone, "b c": 7})
    assert first[4] == {gone: gone}
    assert first[5] == {5: [{"x": [gone]}, None]}
    assert first[6:10] == (gone, f'{{"a":"{gone}","n":1}}', gone.encode(), gone)
    assert str(first[10]).startswith(f"{gone}#")
    assert second == (
        2,
        None,
        None,
        None,
        None,
        None,
        7,
        None,
        b"\xff\x00",
        None,
        "it's",
        None,
        None,
    )


def test_names_and_types_stay_and_all_else_goes(make: Make) -> None:
    source = make(
        f"CREATE TABLE t (a VARCHAR DEFAULT '{TOKEN}', n HUGEINT, x TIMESTAMP_NS)",
        f"CREATE VIEW v AS SELECT '{TOKEN}' AS a",
        f"CREATE MACRO m() AS '{TOKEN}'",
        f"COMMENT ON TABLE t IS '{TOKEN}'",
        'CREATE TABLE "Empty" ("Column A" VARCHAR)',
        "CREATE INDEX i ON t (a)",
        f"CREATE TABLE dropped AS SELECT '{TOKEN}' || i AS a FROM range(3000) t(i)",
        "DROP TABLE dropped",
    )
    assert holds(source, TOKEN)
    target, count = rewrite(source)
    assert count == 0
    assert not holds(target, TOKEN)
    assert rows(target, _COLUMNS) == [
        ("Empty", "Column A", "VARCHAR", None),
        ("t", "a", "VARCHAR", None),
        ("t", "n", "HUGEINT", None),
        ("t", "x", "TIMESTAMP_NS", None),
    ]
    for catalog in ("duckdb_views() WHERE NOT internal", "duckdb_indexes()"):
        assert rows(target, f"SELECT count(*) FROM {catalog}") == [(0,)]


def test_a_value_is_known_by_its_column(make: Make) -> None:
    source = make(
        "CREATE TABLE logins (name VARCHAR, password VARCHAR, password_hash VARCHAR)",
        f"INSERT INTO logins VALUES ('bob', '{WORD}', '{MADE.of(ALNUM, 30)}')",
    )
    target, count = rewrite(source)
    assert count == 1
    (row,) = rows(target, "SELECT name, password FROM logins")
    assert row == ("bob", "[redacted:assigned]")


def test_a_number_that_is_a_secret_by_its_name_becomes_null(make: Make) -> None:
    source = make(
        "CREATE TABLE logins (password INTEGER, passcode DOUBLE, api_key UUID, pwd DECIMAL(18, 0),"
        " s STRUCT(password BIGINT, n BIGINT), password_count INTEGER, n INTEGER,"
        " old_password INTEGER[], m MAP(INTEGER, STRUCT(password HUGEINT)), token BOOLEAN)",
        "INSERT INTO logins VALUES (12345678, 12345678, '123e4567-e89b-12d3-a456-426614174000',"
        " 12345678, {'password': 12345678, 'n': 12345678}, 12345678, 12345678,"
        " [12345678, NULL], MAP {12345678: {'password': 12345678}}, true)",
        "INSERT INTO logins (password, n) VALUES (NULL, 1), (7, 2)",
    )
    redactor = Redactor()
    target, count = rewrite(source, redactor)
    assert count == 7
    assert redactor.counts == {"assigned": 7}
    found = rows(target, "FROM logins ORDER BY n DESC")
    number = 12345678
    nested: tuple[object, ...] = ([None, None], {number: {"password": None}}, True)
    secret = {"password": None, "n": number}
    assert found[0] == (None, None, None, None, secret, number, number, *nested)
    assert [(row[0], row[6]) for row in found[1:]] == [(7, 2), (None, 1)]
    kinds = "SELECT data_type FROM duckdb_columns() WHERE NOT internal ORDER BY column_index"
    assert rows(target, kinds) == rows(source, kinds)


def test_bytes_that_are_text_are_read_as_text(make: Make) -> None:
    source = make(
        "CREATE TABLE t (b BLOB)", f"INSERT INTO t VALUES (encode('password: {WORD}\né'))"
    )
    target, count = rewrite(source)
    assert count == 1
    assert rows(target, "FROM t") == [("password: [redacted:assigned]\né".encode(),)]


def test_rows_that_are_only_in_the_log_come_along(tmp_path: Path) -> None:
    source = tmp_path / "source.duckdb"
    killed = "import os, sys, duckdb\nc = duckdb.connect(sys.argv[1])\n"
    killed += "for s in sys.argv[2:]: c.execute(s)\nos.kill(os.getpid(), 9)"
    insert = f"INSERT INTO t VALUES ('{TOKEN} lives in the log')"
    command = [sys.executable, "-c", killed, str(source), "CREATE TABLE t (a VARCHAR)", insert]
    assert subprocess.run(command, check=False).returncode == -9
    target, count = rewrite(source)
    assert count == 1
    assert rows(target, "FROM t") == [("[redacted:github-token] lives in the log",)]


@pytest.mark.parametrize(
    "statement",
    [
        f'CREATE TABLE "{TOKEN}" (a INTEGER)',
        f'CREATE TABLE t ("{TOKEN}" INTEGER)',
        f'CREATE TABLE t (s STRUCT("{TOKEN}" INTEGER)[])',
        f'CREATE SCHEMA "{TOKEN}"; CREATE TABLE "{TOKEN}".t (a INTEGER)',
    ],
)
def test_a_name_that_holds_a_secret_is_refused(make: Make, statement: str) -> None:
    source = make(statement)
    with pytest.raises(SourceInvalid, match="name of a table or column") as refused:
        rewrite(source)
    assert TOKEN not in str(refused.value)
    assert not source.with_name("target.duckdb").exists()


def test_a_damaged_file_leaves_no_target(make: Make) -> None:
    source = make("CREATE TABLE t AS SELECT i, 'word ' || i AS a FROM range(100000) t(i)")
    data = bytearray(source.read_bytes())
    data[len(data) // 2 : len(data) // 2 + 4096] = bytes(4096)
    source.write_bytes(data)
    with pytest.raises(SourceInvalid, match="damaged"):
        rewrite(source)
    assert not source.with_name("target.duckdb").exists()


def test_an_error_quotes_no_secret(make: Make) -> None:
    source = make("CREATE TABLE t AS SELECT 1 AS a").rename(make().with_name(f"{TOKEN}.duckdb"))
    source.write_bytes(source.read_bytes()[:5000])
    with pytest.raises(SourceInvalid) as refused:
        rewrite(source)
    assert str(refused.value).startswith("[redacted:github-token]")


def test_a_target_that_is_there_is_replaced(make: Make) -> None:
    source = make("CREATE TABLE t AS SELECT 1 AS a")
    rewrite(source)
    target, _ = rewrite(source)
    assert rows(target, "FROM t") == [(1,)]


def test_values_too_large_for_the_first_memory_are_written_with_more(make: Make) -> None:
    source = make(
        f"CREATE TABLE t AS SELECT '{TOKEN}' AS a, '\\xFF'::BLOB || repeat('a', 2000000)::BLOB AS b"
        " FROM range(60)"
    )
    redactor = Redactor()
    target, count = rewrite(source, redactor)
    assert count == 60
    assert redactor.counts == {"github-token": 60}
    assert rows(target, "SELECT count(*), min(octet_length(b)) FROM t") == [(60, 2000001)]
