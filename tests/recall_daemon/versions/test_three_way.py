"""Contents merged field by field."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recall_daemon.versions.content import from_json, hash_of, record_json
from recall_daemon.versions.three_way import same, three_way, with_fields
from recall_wire.records import Record

NOW = datetime(2026, 1, 2, tzinfo=UTC)
BASE = Record(
    "m", text="A tide.", tags=("x",), importance=0.5, metadata='{"a":1,"b":2}', updated_at=NOW
)


def test_disjoint_fields_are_merged_and_the_later_time_kept() -> None:
    ours = replace(BASE, text="A high tide.", updated_at=NOW + timedelta(hours=1))
    theirs = replace(BASE, importance=0.75, updated_at=NOW + timedelta(hours=2))
    merged = three_way(BASE, ours, theirs)
    assert merged.overlapping == ()
    assert merged.record == replace(theirs, text="A high tide.")
    assert three_way(BASE, theirs, ours) == merged


def test_a_field_that_both_changed_overlaps_unless_they_agree() -> None:
    ours, theirs = replace(BASE, text="One.", tags=("y",)), replace(BASE, text="Two.", tags=("y",))
    merged = three_way(BASE, ours, theirs)
    assert merged.overlapping == ("text",)
    assert (merged.record.text, merged.record.tags) == ("One.", ("y",))


@pytest.mark.parametrize(
    ("ours", "theirs", "merged", "overlapping"),
    [
        ('{"a":3,"b":2}', '{"a":1,"b":4}', '{"a":3,"b":4}', ()),
        ('{"b":2}', '{"a":1,"b":2,"c":5}', '{"b":2,"c":5}', ()),
        ('{"a":3,"b":2}', '{"a":4,"b":2}', '{"a":3,"b":2}', ("metadata.a",)),
        ('{"b":2}', '{"a":4,"b":2}', '{"b":2}', ("metadata.a",)),
        ('{"a":true,"b":2}', '{"a":1,"b":2}', '{"a":true,"b":2}', ()),
        ("no JSON", '{"a":1,"b":3}', "no JSON", ("metadata",)),
    ],
)
def test_each_key_of_the_metadata_is_a_field(
    ours: str, theirs: str, merged: str, overlapping: tuple[str, ...]
) -> None:
    told = three_way(BASE, replace(BASE, metadata=ours), replace(BASE, metadata=theirs))
    assert (told.record.metadata, told.overlapping) == (merged, overlapping)


def test_without_a_base_whatever_differs_overlaps() -> None:
    ours, theirs = replace(BASE, text="One."), replace(BASE, text="Two.", metadata='{"c":1}')
    told = three_way(None, ours, theirs)
    assert told.overlapping == ("text",)
    assert told.record.metadata == '{"a":1,"b":2,"c":1}'


def test_time_alone_says_nothing_else() -> None:
    assert same(BASE, replace(BASE, updated_at=None))
    assert not same(BASE, replace(BASE, importance=None))


def test_the_fields_of_a_side() -> None:
    other = replace(BASE, text="Other.", metadata='{"b":9}', importance=0.25)
    told = with_fields(BASE, other, ["text", "metadata.a", "metadata.b"])
    assert told == replace(BASE, text="Other.", metadata='{"b":9}')


values = st.builds(
    Record,
    memory_id=st.just("m"),
    text=st.sampled_from([None, "", "a", "b"]),
    tags=st.sampled_from([(), ("x",), ("x", "y")]),
    importance=st.sampled_from([None, 0.25, 1.0]),
    metadata=st.sampled_from(["{}", '{"a":1}', '{"a":2,"b":[1]}', "[]", "?"]),
    created_at=st.sampled_from([None, NOW]),
    project=st.sampled_from([None, "p"]),
)


@given(values)
def test_a_record_comes_back_from_its_json(record: Record) -> None:
    again = from_json("m", record_json(record))
    assert hash_of(again) == hash_of(record)
    assert again == record


@given(values, values, values)
def test_who_is_who_changes_nothing_but_the_overlap(base: Record, a: Record, b: Record) -> None:
    one, other = three_way(base, a, b), three_way(base, b, a)
    assert one.overlapping == other.overlapping
    if not one.overlapping:
        assert one.record == other.record
    assert three_way(base, a, base).record == a
    assert three_way(base, a, a).record == a
