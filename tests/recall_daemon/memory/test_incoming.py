"""A posted memory is a record, or one sentence; and whose it is."""

from __future__ import annotations

import contextlib
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recall_daemon.access.caller import LOCAL, Caller
from recall_daemon.errors import Forbidden, MemoryInvalid
from recall_daemon.memory.incoming import (
    FIELD_MAX_CHARS,
    METADATA_MAX_BYTES,
    TAGS_MAX,
    TEXT_MAX_BYTES,
    pushed_memory,
    read_memory,
    system_of,
)
from recall_wire.errors import RecallError
from recall_wire.layout import check_system_id

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def deep(levels: int) -> dict[str, Any]:
    made: dict[str, Any] = {}
    for _ in range(levels):
        made = {"x": made}
    return made


def test_every_field_is_read() -> None:
    body = {
        "memory_id": "m",
        "content": "said",
        "kind": "insight",
        "created_at": "2025-01-01T12:00:00",
        "updated_at": 1_735_732_800_000,
        **dict.fromkeys(("project", "namespace", "session_id", "agent_id", "user_id"), "v"),
        "parent_id": "",
        "tags": ["a", "", "a", "b"],
        "importance": 1,
        "metadata": {"b": 1, "a": [None, {"c": 0.5}]},
        "embedding": [0, 0.5],
    }
    record = read_memory(body, now=NOW)
    assert (record.memory_id, record.text, record.kind) == ("m", "said", "insight")
    assert record.created_at == datetime(2025, 1, 1, 12, tzinfo=UTC)
    assert record.updated_at == datetime(2025, 1, 1, 12, tzinfo=UTC)
    assert (record.project, record.user_id, record.parent_id) == ("v", "v", None)
    assert (record.tags, record.importance, record.embedding) == (("a", "b"), 1.0, None)
    assert json.loads(record.metadata) == body["metadata"]


def test_without_an_id_the_same_post_is_the_same_memory() -> None:
    first = read_memory({"text": "x"}, now=NOW)
    again = read_memory({"text": "x"}, now=NOW + timedelta(hours=1))
    assert first.memory_id == again.memory_id != read_memory({"text": "y"}, now=NOW).memory_id
    assert first.created_at == NOW


def test_text_is_mended_and_an_id_is_not() -> None:
    assert read_memory({"text": "a\0b\ud800"}, now=NOW).text == "a b\ufffd"
    for odd in ("a\0", "\ud800", "", "x" * 513, 5):
        with pytest.raises(MemoryInvalid, match="memory_id"):
            read_memory({"memory_id": odd, "text": "x"}, now=NOW)


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        ([], "not a JSON object"),
        ({}, "there is no text"),
        ({"text": " \0 "}, "text is empty"),
        ({"text": 5}, "text is not text"),
        ({"text": "x", "content": "y"}, "both text and content"),
        ({"text": "é" * (TEXT_MAX_BYTES // 2 + 1)}, "more than"),
        ({"text": "x", "\ud800": 1}, "is not known"),
        ({"text": "x", "kind": "poem"}, "'poem' is none of"),
        ({"text": "x", "created_at": "soon"}, "'soon' is not a time"),
        ({"text": "x", "created_at": True}, "is not a time"),
        ({"text": "x", "created_at": 10**5_000}, "of many digits is not a time"),
        ({"text": "x", "created_at": "2026-01-03"}, "is in the future"),
        ({"text": "x", "updated_at": "9999-12-31T23:59:59-12:00"}, "is not a time"),
        ({"text": "x", "project": 5}, "project is not text"),
        ({"text": "x", "project": "x" * (FIELD_MAX_CHARS + 1)}, "project has more than"),
        ({"text": "x", "tags": "a,b"}, "tags is not a list"),
        ({"text": "x", "tags": [5]}, "a tag is not text"),
        ({"text": "x", "tags": ["t"] * (TAGS_MAX + 1)}, "tags has"),
        ({"text": "x", "importance": float("nan")}, "importance is 'nan'"),
        ({"text": "x", "importance": 2}, "importance is '2'"),
        ({"text": "x", "importance": "high"}, "importance is not a number"),
        ({"text": "x", "metadata": "{}"}, "metadata is not a JSON object"),
        ({"text": "x", "metadata": {"a": float("inf")}}, "NaN or infinite"),
        ({"text": "x", "metadata": {"a": 10**5_000}}, "thousands of digits"),
        ({"text": "x", "metadata": deep(100)}, "levels deep"),
        ({"text": "x", "metadata": {"a": "x" * METADATA_MAX_BYTES}}, "metadata has more"),
        ({"text": "x", "metadata": {"a": b"x"}}, "which is no JSON"),
        ({"text": "x", "embedding": []}, "embedding is not a list"),
        ({"text": "x", "embedding": [1, "2"]}, "no finite number"),
        ({"text": "x", "embedding": [float("nan")]}, "no finite number"),
        ({"text": "x", "embedding": [10**400]}, "no finite number"),
    ],
)
def test_what_is_wrong_is_one_sentence(body: object, sentence: str) -> None:
    with pytest.raises(MemoryInvalid, match=sentence) as raised:
        read_memory(body, now=NOW)
    assert len(str(raised.value)) < 400
    str(raised.value).encode()


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(
    st.dictionaries(st.sampled_from(["text", "metadata", "tags", "created_at", "x"]), json_values)
)
def test_whatever_is_posted_is_a_record_or_an_error_of_ours(body: dict[str, Any]) -> None:
    for read in (
        lambda: read_memory(body, now=NOW),
        lambda: pushed_memory("m", "t", None, body, now=NOW),
    ):
        with contextlib.suppress(RecallError):
            json.loads(read().metadata)


def test_a_push_has_its_fields_in_the_metadata_and_keeps_them_all() -> None:
    said = {
        "created_at": "2025-01-01T00:00:00",
        "project": "p",
        "session_id": 5,
        "tags": ["a"],
        "importance": 7,
        "kind": "reflection",
        "source": "laptop",
        "ingestion_method": "other",
    }
    record = pushed_memory("m", "text", [0.1] * 384, said, now=NOW)
    assert record.created_at == datetime(2025, 1, 1, tzinfo=UTC)
    assert (record.project, record.session_id, record.importance) == ("p", None, None)
    assert (record.tags, record.kind, record.embedding) == (("a",), "reflection", None)
    assert json.loads(record.metadata) == {**said, "ingestion_method": "http_push"}
    plain = pushed_memory("m", "text", now=NOW)
    assert (plain.created_at, plain.metadata) == (NOW, '{"ingestion_method":"http_push"}')
    for wrong in ((None, "x"), ("m", None), ("m", "x", "vector"), ("m", "x", None, [])):
        with pytest.raises(MemoryInvalid):
            pushed_memory(*wrong, now=NOW)


def test_a_token_says_the_system_then_the_map_then_the_source() -> None:
    own = Caller("t", "instance", "laptop-7")
    sources = {"phone": "mobile"}
    assert system_of(own, {"source": "phone"}, sources) == "laptop-7"
    assert system_of(LOCAL, {"source": "phone"}, sources) == "mobile"
    assert (
        system_of(LOCAL, {"source": 5}, sources) == system_of(LOCAL, None, sources) == "http-push"
    )
    slugs = {
        system_of(LOCAL, {"source": odd}, {}) for odd in ("My Mac", "My-Mac", "/", "é", "x" * 999)
    }
    assert len(slugs) == 5
    assert all(check_system_id(slug) for slug in slugs)
    with pytest.raises(Forbidden):
        system_of(Caller("r", "reader"), {"source": "phone"}, sources)
