"""Session-Buddy files: what each column becomes, whatever its type."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from recall_wire.errors import SettingsInvalid, SourceInvalid
from recall_wire.formats import ReadOptions, open_source
from recall_wire.manifest import EmbeddingSpace
from recall_wire.records import Record

Make = Callable[..., Path]
Read = Callable[..., list[Record]]
Warnings = Callable[[Path], list[str]]

_V2 = """
CREATE TABLE conversations_v2 (
  id VARCHAR PRIMARY KEY, content VARCHAR, embedding FLOAT[3], category VARCHAR,
  importance_score FLOAT DEFAULT 0.5, access_count INTEGER DEFAULT 0, last_accessed TIMESTAMP,
  project VARCHAR, namespace VARCHAR, timestamp TIMESTAMP, session_id VARCHAR, user_id VARCHAR,
  searchable_content VARCHAR, metadata VARCHAR, turn_parent_id VARCHAR, causal_parent_id VARCHAR,
  fingerprint BLOB)
"""
_REFLECTIONS = """
CREATE TABLE reflections_v2 (
  id VARCHAR, conversation_id VARCHAR, content VARCHAR, tags VARCHAR[], timestamp TIMESTAMP,
  created_at TIMESTAMP, updated_at TIMESTAMP, metadata JSON, insight_type VARCHAR,
  confidence_score FLOAT, related_entities VARCHAR[])
"""


def test_a_conversation_becomes_a_record(database: Make, read: Read) -> None:
    path = database(
        _V2,
        """INSERT INTO conversations_v2 VALUES ('c1', 'Zeilen\nüber 𝄞', [1,2,3], 'turn', 0.8, 7,
        now()::TIMESTAMP, 'atlas', 'default', '2026-05-04 03:02:01.000009', NULL, 'u', 'derived',
        '{"source_session": "s1", "n": [1, {"x": null}]}', NULL, 'cause', '\\x01'::BLOB)""",
    )
    [record] = read(path)
    moment = datetime(2026, 5, 4, 3, 2, 1, 9, tzinfo=UTC)
    assert record == Record(
        memory_id="c1",
        kind="conversation",
        text="Zeilen\nüber 𝄞",
        created_at=moment,
        updated_at=moment,
        project="atlas",
        namespace="default",
        session_id="s1",
        user_id="u",
        importance=0.8,
        parent_id="cause",
        metadata='{"n":[1,{"x":null}],"session_buddy":{"category":"turn"},"source_session":"s1"}',
    )


def test_a_reflection_and_an_insight(database: Make, read: Read) -> None:
    path = database(
        _REFLECTIONS,
        """INSERT INTO reflections_v2 VALUES
        ('r', 'c1', 'lesson', ['a', 'b', 'a'], '2026-01-01', '2026-01-02', '2026-01-03', NULL,
         NULL, 0.7, ['x']),
        ('i', NULL, 'insight', [], '2026-01-01', NULL, NULL, '"plain"', 'pattern', NULL, NULL)""",
    )
    reflection, insight = read(path)
    assert (reflection.kind, reflection.parent_id, reflection.tags) == (
        "reflection",
        "c1",
        ("a", "b"),
    )
    assert reflection.created_at == datetime(2026, 1, 2, tzinfo=UTC)
    assert reflection.updated_at == datetime(2026, 1, 3, tzinfo=UTC)
    assert json.loads(reflection.metadata)["session_buddy"] == {
        "confidence_score": 0.7,
        "related_entities": ["x"],
        "timestamp": "2026-01-01T00:00:00",
    }
    assert (insight.kind, insight.created_at) == ("insight", datetime(2026, 1, 1, tzinfo=UTC))
    assert json.loads(insight.metadata) == {
        "metadata": "plain",
        "session_buddy": {"insight_type": "pattern"},
    }


def test_access_counters_change_no_hash(database: Make, read: Read) -> None:
    path = database(_V2, "INSERT INTO conversations_v2 (id, content) VALUES ('a', 'text')")
    before = [record.row_hash() for record in read(path)]
    database(
        "UPDATE conversations_v2 SET access_count = 99, last_accessed = now()::TIMESTAMP, "
        "embedding = [4,5,6], searchable_content = 'other', fingerprint = '\\x02'::BLOB"
    )
    assert [record.row_hash() for record in read(path)] == before
    database("UPDATE conversations_v2 SET content = 'text.'")
    assert [record.row_hash() for record in read(path)] != before


@pytest.mark.parametrize("storage", ["v0.10.2", "v1.2.0", "v1.5.0", None])
def test_every_generation_of_file(database: Make, read: Read, storage: str | None) -> None:
    path = database(
        "CREATE TABLE conversations (id VARCHAR, content VARCHAR, timestamp TIMESTAMP, meta JSON)",
        "INSERT INTO conversations SELECT 'id' || i, 'text ' || i, NULL, NULL "
        "FROM range(5000) t(i)",
        storage=storage,
    )
    records = read(path)
    assert [(r.memory_id, r.text) for r in records] == [
        (f"id{i}", f"text {i}") for i in range(5000)
    ]


def test_rows_that_are_in_the_log_alone(live_database: Make, read: Read) -> None:
    path = live_database(
        "CREATE TABLE reflections (id VARCHAR DEFAULT gen_random_uuid()::VARCHAR PRIMARY KEY, "
        "content VARCHAR)",
        "INSERT INTO reflections VALUES ('r1', 'never checkpointed')",
    )
    assert [(r.memory_id, r.kind, r.text) for r in read(path)] == [
        ("r1", "reflection", "never checkpointed")
    ]


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ("'c', 's', 'r', 'q', 'a'", "c"),
        ("NULL, 's', 'r', 'q', 'a'", "s"),
        ("'', 's', 'r', 'q', 'a'", "s"),
        ("NULL, NULL, 'r', 'q', 'a'", "r"),
        ("NULL, NULL, NULL, 'q', 'a'", "q\na"),
        ("NULL, NULL, NULL, 'q', NULL", "q"),
        ("'', NULL, NULL, NULL, NULL", ""),
        ("NULL, NULL, NULL, NULL, NULL", None),
    ],
)
def test_where_the_text_comes_from(
    database: Make, read: Read, row: str, expected: str | None
) -> None:
    path = database(
        "CREATE TABLE conversations (id INT, content VARCHAR, summary VARCHAR, "
        "reflection VARCHAR, query VARCHAR, response VARCHAR)",
        f"INSERT INTO conversations VALUES (1, {row})",
    )
    assert [(r.memory_id, r.text) for r in read(path)] == [("1", expected)]


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("TIMESTAMP", "'2026-01-02 03:04:05.000006'"),
        ("TIMESTAMP_NS", "'2026-01-02 03:04:05.000006'"),
        ("TIMESTAMPTZ", "'2026-01-02 03:04:05.000006+00'"),
        ("VARCHAR", "'2026-01-02T03:04:05.000006Z'"),
        ("VARCHAR", "'2026-01-02 05:04:05.000006+02:00'"),
        ("BIGINT", "1767323045000006"),
        ("HUGEINT", "1767323045000006000"),
        ("DOUBLE", "1767323045.000006"),
    ],
)
def test_times_of_any_type(database: Make, read: Read, kind: str, value: str) -> None:
    path = database(
        f"CREATE TABLE conversations (id UUID, timestamp {kind})",
        f"INSERT INTO conversations VALUES (uuid(), {value})",
    )
    [record] = read(path)
    assert record.created_at == datetime(2026, 1, 2, 3, 4, 5, 6, tzinfo=UTC)


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("TIMESTAMP", "'infinity'"),
        ("TIMESTAMP", "'20000-01-01'"),
        ("TIMESTAMPTZ", "'-infinity'"),
        ("DATE", "'5877642-06-25 (BC)'"),
        ("VARCHAR", "'yesterday'"),
        ("DOUBLE", "'nan'"),
    ],
)
def test_times_that_are_none(database: Make, read: Read, kind: str, value: str) -> None:
    path = database(
        f"CREATE TABLE conversations (id INT, timestamp {kind}, content VARCHAR)",
        f"INSERT INTO conversations VALUES (1, {value}, 'kept')",
    )
    assert [(r.created_at, r.text) for r in read(path)] == [(None, "kept")]


def test_naive_times_are_read_in_the_named_zone(database: Make, read: Read) -> None:
    path = database(
        "CREATE TABLE conversations (id INT, timestamp TIMESTAMP)",
        "INSERT INTO conversations VALUES (1, '2026-07-01 12:00')",
    )
    [record] = read(path, time_zone="Europe/Berlin")
    assert record.created_at == datetime(2026, 7, 1, 10, tzinfo=UTC)
    with pytest.raises(SettingsInvalid, match="no/such"):
        read(path, time_zone="no/such")


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("VARCHAR[]", "['a b', 'c']"),
        ("JSON", '\'["a b", "c"]\''),
        ("VARCHAR", '\'["a b", "c"]\''),
        ("VARCHAR", "'a b, c,'"),
        ("VARCHAR[2]", "['a b', 'c']"),
    ],
)
def test_tags_of_any_type(database: Make, read: Read, kind: str, value: str) -> None:
    path = database(
        f"CREATE TABLE reflections (id INT, tags {kind})",
        f"INSERT INTO reflections VALUES (1, {value})",
    )
    assert read(path)[0].tags == ("a b", "c")


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("JSON", """'{"k": 1, "l": [2.5]}'"""),
        ("VARCHAR", """'{"k": 1, "l": [2.5]}'"""),
        ("STRUCT(k INT, l DOUBLE[])", "{'k': 1, 'l': [2.5]}"),
    ],
)
def test_metadata_of_any_type(database: Make, read: Read, kind: str, value: str) -> None:
    path = database(
        f"CREATE TABLE conversations (id INT, metadata {kind})",
        f"INSERT INTO conversations VALUES (1, {value})",
    )
    assert read(path)[0].metadata == '{"k":1,"l":[2.5]}'


def test_columns_nobody_knows_are_kept(database: Make, read: Read) -> None:
    path = database(
        "CREATE TABLE conversations (id INT, h HUGEINT, d DECIMAL(9,2), b BLOB, t TIME, "
        "m MAP(VARCHAR, INT), e ENUM('x', 'y'), f FLOAT, ok BOOLEAN, n INT, "
        "title_embedding FLOAT[2])",
        "INSERT INTO conversations VALUES (1, 170141183460469231731687303715884105727, 1.25, "
        "'\\xff'::BLOB, '10:00', MAP {'k': 1}, 'y', 'nan', true, NULL, [1, 2])",
    )
    assert json.loads(read(path)[0].metadata)["session_buddy"] == {
        "h": 2**127 - 1,
        "d": 1.25,
        "b": "/w==",
        "t": "10:00:00",
        "m": {"k": 1},
        "e": "y",
        "ok": True,
    }


@pytest.mark.parametrize(
    ("value", "expected"),
    [("7", 1.0), ("-1", 0.0), ("'nan'", None), ("NULL", None), ("0.25", 0.25)],
)
def test_importance_is_between_0_and_1(
    database: Make, read: Read, value: str, expected: float | None
) -> None:
    path = database(
        "CREATE TABLE conversations (id INT, importance_score DOUBLE)",
        f"INSERT INTO conversations VALUES (1, {value})",
    )
    assert read(path)[0].importance == expected


def test_vectors_come_only_with_a_space(database: Make, read: Read) -> None:
    path = database(
        "CREATE TABLE conversations (id INT, embedding FLOAT[])",
        "INSERT INTO conversations VALUES (1, [0.5, 1]), (2, [1, 2, 3]), "
        "(3, ['nan'::FLOAT, 1]), (4, NULL)",
    )
    space = EmbeddingSpace(model="m", revision="r", dim=2, normalized=True)
    assert [record.embedding for record in read(path)] == [None] * 4
    with open_source(path, ReadOptions(embedding=space)) as source:
        assert [r.embedding for r in source.records()] == [(0.5, 1.0), None, None, None]
        assert source.warnings == ["2 rows had a vector that is not 2 numbers (first: 2)"]


def test_the_last_row_of_an_id_wins(database: Make, read: Read, warnings: Warnings) -> None:
    path = database(
        "CREATE TABLE conversations (id VARCHAR, content VARCHAR)",
        "INSERT INTO conversations SELECT 'same', i::VARCHAR FROM range(3000) t(i)",
        "INSERT INTO conversations VALUES ('other', 'x'), (NULL, 'lost'), ('', 'lost too')",
    )
    assert [(r.memory_id, r.text) for r in read(path)] == [("same", "2999"), ("other", "x")]
    assert warnings(path) == [
        "2999 rows of conversations had the id of a later row, which counts instead",
        "2 rows of conversations had no id and were left out",
    ]


def test_one_id_in_several_tables_loses_nothing(database: Make, read: Read) -> None:
    path = database(
        *(
            f"CREATE TABLE {name} AS SELECT 'x' AS id, '{name}' AS content"
            for name in ("conversations_v2", "reflections_v2", "conversations", "reflections")
        ),
        "INSERT INTO conversations_v2 VALUES ('x#v1', 'somebody else')",
    )
    found = {record.memory_id: record.text for record in read(path)}
    assert len(found) == 5
    assert found["x"] == "conversations_v2"
    assert found["x#reflection"] == "reflections_v2"
    assert found["x#reflection-v1"] == "reflections"
    assert found["x#v1"] == "somebody else"
    assert list(found.values()).count("conversations") == 1


def test_reading_twice_gives_and_counts_the_same(database: Make) -> None:
    path = database(
        "CREATE TABLE conversations (id VARCHAR, content VARCHAR)",
        "INSERT INTO conversations VALUES ('a', 'x'), (NULL, 'y'), ('b', 'z')",
    )
    with open_source(path, ReadOptions()) as source:
        first, counted = list(source.records()), (source.skipped, list(source.warnings))
        assert list(source.records()) == first
        assert (source.skipped, source.warnings) == counted
        assert source.skipped == 1


def test_text_that_duckdb_would_never_write(database: Make, read: Read, warnings: Warnings) -> None:
    marker = "marker-" * 8
    path = database(
        "CREATE TABLE conversations (id INT, content BLOB)",
        f"INSERT INTO conversations VALUES (1, encode('{marker}') || '\\xC3\\x28'::BLOB)",
    )
    [record] = read(path)
    assert record.text == marker + "\ufffd("
    assert list(json.loads(record.metadata)) == ["invalid_utf8_base64"]
    assert warnings(path) == ["1 row had text that is not valid UTF-8, repaired (first: 1)"]


@pytest.mark.parametrize("text", ["", "\0" * 10_000, "x" * 5_000_000, "a\0b", "\ufeffbom\r\n"])
def test_unusual_texts_byte_for_byte(database: Make, read: Read, text: str) -> None:
    path = database("CREATE TABLE conversations (id INT, content VARCHAR)")
    import duckdb

    with duckdb.connect(str(path)) as connection:
        connection.execute("INSERT INTO conversations VALUES (1, ?)", [text])
    assert read(path)[0].text == text


def test_an_id_too_long_is_hashed(database: Make, read: Read) -> None:
    path = database(
        "CREATE TABLE conversations (id VARCHAR)",
        "INSERT INTO conversations VALUES (repeat('a', 512)), (repeat('b', 513))",
    )
    fits, hashed = read(path)
    assert fits.memory_id == "a" * 512
    assert hashed.memory_id.startswith("sha256:")
    assert json.loads(hashed.metadata) == {"original_id": "b" * 513}


def test_names_in_any_case_and_schema(database: Make, read: Read, warnings: Warnings) -> None:
    path = database(
        'CREATE SCHEMA "odd \'""name"',
        'CREATE TABLE "odd \'""name".Conversations (ID INT, Content VARCHAR)',
        'INSERT INTO "odd \'""name".Conversations VALUES (1, \'there\')',
        "CREATE TABLE reflections (id INT)",
        "CREATE SCHEMA other",
        "CREATE TABLE other.reflections (id INT)",
    )
    assert [(r.memory_id, r.text) for r in read(path)] == [("1", "there")]
    assert warnings(path) == ["other.reflections (base table) was not read"]


def test_a_table_without_id_is_refused(database: Make, read: Read) -> None:
    path = database("CREATE TABLE conversations (content VARCHAR, rowid INT)")
    with pytest.raises(SourceInvalid, match=r"conversations of memory\.duckdb has no column id"):
        read(path)


def test_a_database_of_something_else_is_refused(database: Make, read: Read) -> None:
    with pytest.raises(SourceInvalid, match=r"none of the tables .*\.wal beside it"):
        read(database("CREATE TABLE orders (id INT)"))


def test_the_fingerprint_is_of_the_schema(database: Make) -> None:
    path = database("CREATE TABLE conversations (id INT, content VARCHAR)")

    def fingerprint() -> str:
        with open_source(path, ReadOptions()) as source:
            return source.fingerprint

    empty = fingerprint()
    database("INSERT INTO conversations VALUES (1, 'x')")
    assert fingerprint() == empty
    database("ALTER TABLE conversations ADD COLUMN project VARCHAR")
    assert fingerprint() != empty
