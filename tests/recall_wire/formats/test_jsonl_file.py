"""JSON Lines: tolerant of how a line is written, strict about what it is."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from recall_wire.errors import SourceInvalid
from recall_wire.formats import ReadOptions, open_source
from recall_wire.records import RECORD_SCHEMA, Record, to_batch

Read = Callable[..., list[Record]]


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    def lines(*rows: bytes | dict[str, object], between: bytes = b"\n") -> Path:
        path = tmp_path / "rows.jsonl"
        path.write_bytes(
            between.join(r if isinstance(r, bytes) else json.dumps(r).encode() for r in rows)
        )
        return path

    return lines


def test_every_field(write: Callable[..., Path], read: Read) -> None:
    row = {
        "memory_id": "m",
        "kind": "insight",
        "text": "t\0ü",
        "created_at": "2026-01-01T00:00:00+01:00",
        "updated_at": 1767225600,
        "project": "p",
        "namespace": "n",
        "session_id": "s",
        "agent_id": "a",
        "user_id": "u",
        "tags": ["x"],
        "importance": 0.5,
        "parent_id": "q",
        "metadata": {"b": 1, "a": [None]},
        "op": "delete",
        "target_system": "other",
        "base_version": "v",
        "unknown": {"kept": True},
    }
    assert read(write(row)) == [
        Record(
            memory_id="m",
            kind="insight",
            text="t\0ü",
            created_at=datetime(2025, 12, 31, 23, tzinfo=UTC),
            updated_at=datetime(2026, 1, 1, tzinfo=UTC),
            project="p",
            namespace="n",
            session_id="s",
            agent_id="a",
            user_id="u",
            tags=("x",),
            importance=0.5,
            parent_id="q",
            metadata='{"a":[null],"b":1,"extra":{"unknown":{"kept":true}}}',
            op="delete",
            target_system="other",
            base_version="v",
        )
    ]


def test_byte_order_mark_crlf_and_blank_lines(write: Callable[..., Path], read: Read) -> None:
    path = write(
        b'\xef\xbb\xbf{"memory_id": "a"}', b"", b"  ", b'{"memory_id": "b"}', between=b"\r\n"
    )
    assert [record.memory_id for record in read(path)] == ["a", "b"]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b'{"memory_id": "b"', "line 2 of rows.jsonl is not JSON"),
        (b"[1]", "line 2 of rows.jsonl is not a JSON object"),
        (b'{"memory_id": "b", "x": ' + b"[" * 100_000, "line 2 .* nested too deeply"),
        (b'{"memory_id": "b", "x": ' + b"9" * 10_000 + b"}", "line 2 of rows.jsonl is not JSON"),
    ],
)
def test_one_bad_line_refuses_the_file_before_any_record(
    write: Callable[..., Path], line: bytes, reason: str
) -> None:
    path = write({"memory_id": "a"}, line)
    with pytest.raises(SourceInvalid, match=reason):
        open_source(path, ReadOptions())


@pytest.mark.parametrize("row", [{"kind": "rumour"}, {"op": "drop table"}])
def test_a_kind_or_op_that_does_not_exist(
    write: Callable[..., Path], read: Read, row: dict[str, object]
) -> None:
    with pytest.raises(SourceInvalid, match="is none of"):
        read(write({"memory_id": "a", **row}))


def test_a_kind_too_long_to_be_a_misspelt_one_is_not_repeated(
    write: Callable[..., Path], read: Read
) -> None:
    with pytest.raises(SourceInvalid, match="kind of 41 characters is none of") as refused:
        read(write({"memory_id": "a", "kind": "x" * 41}))
    assert "xx" not in str(refused.value)


def test_a_file_without_ids(write: Callable[..., Path], read: Read) -> None:
    with pytest.raises(SourceInvalid, match="no line with a memory_id"):
        read(write({"text": "x"}))
    with pytest.raises(SourceInvalid, match="holds no rows"):
        read(write(b"\n \n"))


def test_rows_without_an_id_are_counted(write: Callable[..., Path]) -> None:
    path = write({"memory_id": "a"}, {"memory_id": ""}, {"text": "x"}, {"memory_id": None})
    with open_source(path, ReadOptions()) as source:
        assert [record.memory_id for record in source.records()] == ["a"]
        assert (source.skipped, source.warnings) == (3, ["3 rows had no id and were left out"])


def test_invalid_utf8_is_repaired_and_kept(
    write: Callable[..., Path], read: Read, warnings: Callable[[Path], list[str]]
) -> None:
    path = write(b'{"memory_id": "a", "text": "caf\xe9 \xf0\x9d\x84\x9e"}')
    [record] = read(path)
    assert record.text == "caf\ufffd 𝄞"
    kept = json.loads(record.metadata)["invalid_utf8_base64"]
    assert base64.b64decode(kept) == b"caf\xe9 \xf0\x9d\x84\x9e"
    assert warnings(path) == ["1 row had text that is not valid UTF-8, repaired (first: a)"]


def test_lone_surrogates_are_repaired_everywhere(
    write: Callable[..., Path], read: Read, warnings: Callable[[Path], list[str]]
) -> None:
    path = write(
        rb'{"memory_id": "a", "text": "x\ud800y\ud83d\ude00", "project": "\udfff", '
        rb'"tags": ["\ud800"], "metadata": {"\ud800": "\ud800"}, "\udc00": "\ud800"}'
    )
    [record] = read(path)
    assert (record.text, record.project, record.tags) == ("x\ufffdy😀", "\ufffd", ("\ufffd",))
    to_batch([record]).validate(full=True)
    assert len(warnings(path)) == 1


def test_session_buddy_rows(write: Callable[..., Path], read: Read) -> None:
    path = write(
        {"id": 7, "content": "c", "timestamp": "2026-01-01", "access_count": 3},
        {"id": "r", "content": "r", "conversation_id": "7"},
    )
    first, second = read(path)
    assert (first.memory_id, first.kind, first.text, first.metadata) == (
        "7",
        "conversation",
        "c",
        "{}",
    )
    assert (second.kind, second.parent_id) == ("reflection", "7")


def test_the_last_line_of_an_id_wins(write: Callable[..., Path], read: Read) -> None:
    path = write(*({"memory_id": "ab"[n % 2], "text": str(n)} for n in range(7)))
    assert [(r.memory_id, r.text) for r in read(path)] == [("b", "5"), ("a", "6")]


FIXED = ("memory_id", "kind", "op")
FIELDS = set(RECORD_SCHEMA.names) - set(FIXED) | {"content", "summary", "extra"}
_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    row=st.dictionaries(
        st.sampled_from(sorted(FIELDS)) | st.text(max_size=5).filter(lambda n: n not in FIXED),
        _JSON,
        max_size=6,
    )
)
def test_any_row_becomes_a_record_that_can_travel(tmp_path: Path, row: dict[str, object]) -> None:
    path = tmp_path / "any.jsonl"
    path.write_text(json.dumps({**row, "memory_id": "m"}))
    with open_source(path, ReadOptions()) as source:
        records = list(source.records())
    to_batch(records).validate(full=True)
    assert isinstance(json.loads(records[0].metadata), dict)
    if isinstance(row.get("text"), str):
        assert records[0].text == row["text"]
