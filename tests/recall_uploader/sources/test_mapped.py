"""Any table by a mapping: what is asked for and nothing else, from both kinds of database."""

from __future__ import annotations

import json
import sqlite3
import tracemalloc
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from recall_wire.errors import SourceInvalid
from recall_wire.records import Record, to_batch

from .conftest import Read

Open = Callable[..., Any]
Make = Callable[..., Path]
COLUMNS = {"memory_id": "ID", "text": "Body"}


@pytest.fixture(params=["sqlite", "duckdb"])
def make(request: pytest.FixtureRequest, tmp_path: Path) -> Make:
    """A database of either kind, by the same statements."""

    def made(*statements: str) -> Path:
        path = tmp_path / f"notes.{request.param}"
        if request.param == "sqlite":
            with closing(sqlite3.connect(path, isolation_level=None)) as connection:
                for statement in statements:
                    connection.execute(statement)
        else:
            with duckdb.connect(str(path)) as duck:
                for statement in statements:
                    duck.execute(statement)
        return path

    return made


def test_every_field_and_nothing_unmapped(make: Make, read: Read) -> None:
    path = make(
        "CREATE TABLE Notes (id BIGINT, body TEXT, made TEXT, changed BIGINT, labels TEXT,"
        " more TEXT, weight DOUBLE, project TEXT, private TEXT)",
        "INSERT INTO Notes VALUES (7, 'text', '2026-01-31T10:00:00+01:00', 1767225600000,"
        " 'a, b,a', '{\"k\": [1]}', 1.5, '', 'never sent')",
    )
    columns = {
        **COLUMNS,
        "created_at": "made",
        "updated_at": "changed",
        "tags": "labels",
        "metadata": "more",
        "importance": "weight",
        "project": "project",
    }
    assert read(path, table="notes", columns=columns, kind="insight") == [
        Record(
            memory_id="7",
            kind="insight",
            text="text",
            created_at=datetime(2026, 1, 31, 9, tzinfo=UTC),
            updated_at=datetime(2026, 1, 1, tzinfo=UTC),
            tags=("a", "b"),
            metadata='{"k":[1]}',
            importance=1.0,
        )
    ]


def test_naive_times_are_read_in_the_sources_own_zone(make: Make, read: Read) -> None:
    path = make(
        "CREATE TABLE notes (id TEXT, made TEXT)", "INSERT INTO notes VALUES ('a', '2026-07-01')"
    )
    columns = {"memory_id": "id", "created_at": "made"}
    [record] = read(path, table="notes", columns=columns, time_zone="Europe/Berlin")
    assert record.created_at == datetime(2026, 6, 30, 22, tzinfo=UTC)


def test_ids_that_are_missing_or_come_again(make: Make, opening: Open) -> None:
    path = make(
        "CREATE TABLE notes (id TEXT, body TEXT)",
        "INSERT INTO notes VALUES ('a', 'old'), (NULL, 'x'), ('', 'y'), ('b', 'z'), ('a', 'new')",
    )
    with opening(path, table="notes", columns=COLUMNS) as opened:
        found = [(r.memory_id, r.text) for r in opened.records.records()]
        assert found == [("b", "z"), ("a", "new")]
        assert opened.records.skipped == 2
        assert "1 row had an id that a later row has too" in opened.records.warnings[0]


def test_what_is_not_there_is_said_with_what_is(make: Make, read: Read) -> None:
    path = make("CREATE TABLE notes (id TEXT, body TEXT)", "CREATE VIEW seen AS SELECT 1 AS id")
    with pytest.raises(SourceInvalid, match=r"has no table nots; it has notes"):
        read(path, table="nots", columns=COLUMNS)
    with pytest.raises(SourceInvalid, match=r"no column bodi \(mapped to text\); it has id, body"):
        read(path, table="notes", columns={"memory_id": "id", "text": "bodi"})
    with pytest.raises(SourceInvalid, match="is a view, no table"):
        read(path, table="seen", columns={"memory_id": "id"})


def test_without_a_mapping_there_is_an_example(make: Make, read: Read) -> None:
    path = make("CREATE TABLE kv (k TEXT)", "CREATE TABLE notes (nr INT, uuid TEXT, body TEXT)")
    with pytest.raises(SourceInvalid, match="needs a mapping") as caught:
        read(path)
    assert "table: notes, columns: {memory_id: uuid, text: body}" in caught.value.hint
    many = ", ".join(f'"c{number}\n" TEXT' for number in range(300))
    path.unlink()
    with pytest.raises(SourceInvalid, match="needs a mapping") as caught:
        read(make(f"CREATE TABLE wide ({many})"))
    assert "and 280 more" in str(caught.value)
    assert len(str(caught.value)) < 1_000


def test_hostile_names_of_tables_and_columns(make: Make, read: Read) -> None:
    path = make(
        'CREATE TABLE "a""b; DROP" ("i d""" TEXT, "sélect" TEXT)',
        "INSERT INTO \"a\"\"b; DROP\" VALUES ('1', 'kept')",
    )
    columns = {"memory_id": 'i d"', "text": "sélect"}
    assert [r.text for r in read(path, table='a"b; DROP', columns=columns)] == ["kept"]


def test_each_table_is_a_source_of_its_own(make: Make, opening: Open) -> None:
    path = make("CREATE TABLE a (id TEXT)", "CREATE TABLE b (id TEXT)")
    keys, fingerprints = set(), set()
    for table in ("a", "b"):
        with opening(path, table=table, columns={"memory_id": "id"}) as opened:
            keys.add(opened.key)
            fingerprints.add(opened.records.fingerprint)
            assert opened.copy.stat().st_size == opened.bytes
            assert (opened.partial, opened.keeps_deletes) == (False, False)
    assert (len(keys), len(fingerprints)) == (2, 2)


def test_a_table_in_another_schema(tmp_path: Path, read: Read) -> None:
    path = tmp_path / "schemas.duckdb"
    with duckdb.connect(str(path)) as connection:
        connection.execute("CREATE SCHEMA x; CREATE SCHEMA y")
        connection.execute("CREATE TABLE x.notes AS SELECT 'x' AS id, ['t'] AS l")
        connection.execute("CREATE TABLE y.notes AS SELECT 'y' AS id, ['t'] AS l")
    columns = {"memory_id": "id", "tags": "l"}
    assert [(r.memory_id, r.tags) for r in read(path, table="Y.notes", columns=columns)] == [
        ("y", ("t",))
    ]
    with pytest.raises(SourceInvalid, match="several tables called notes"):
        read(path, table="notes", columns=columns)


def test_a_hundred_thousand_rows_are_streamed(tmp_path: Path, opening: Open) -> None:
    path = tmp_path / "large.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE notes (id INTEGER PRIMARY KEY, body TEXT)")
        rows = ((number, f"{number} {'x' * 400}") for number in range(100_000))
        connection.executemany("INSERT INTO notes VALUES (?, ?)", rows)
        connection.commit()
    with opening(path, table="notes", columns=COLUMNS) as opened:
        numbers = (int(record.memory_id) for record in opened.records.records())
        assert all(number == expected for expected, number in enumerate(numbers))
        tracemalloc.start()
        try:
            assert sum(1 for _ in opened.records.rows()) == 100_000
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
    assert peak < 2 << 20  # the rows are 40 MiB


_VALUE = (
    st.none()
    | st.integers(min_value=-(2**63), max_value=2**63 - 1)
    | st.floats()
    | st.text()
    | st.binary()
    | st.just('{"a": 1}')
    | st.just("2026-01-31")
)
_FIELDS = ("memory_id", "text", "created_at", "tags", "metadata", "importance", "session_id")


@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(rows=st.lists(st.tuples(*[_VALUE] * len(_FIELDS)), max_size=6))
def test_any_sqlite_value_becomes_a_record_that_can_travel(
    tmp_path: Path, read: Read, rows: list[tuple[object, ...]]
) -> None:
    path = tmp_path / "any.db"
    path.unlink(missing_ok=True)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(f"CREATE TABLE t ({', '.join(_FIELDS)})")
        marks = ", ".join("?" * len(_FIELDS))
        connection.executemany(
            f"INSERT INTO t VALUES ({marks})", (tuple(map(_storable, row)) for row in rows)
        )
        connection.commit()
    records = read(path, table="t", columns={name: name for name in _FIELDS})
    to_batch(records).validate(full=True)
    assert all(isinstance(json.loads(record.metadata), dict) for record in records)


def _storable(value: object) -> object:
    return value.encode("utf-8", "replace") if isinstance(value, str) else value
