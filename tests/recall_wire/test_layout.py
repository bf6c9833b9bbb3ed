"""Every key that is made can be parsed, and nothing hostile can be made."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recall_wire import layout
from recall_wire.buckets.keys import check_key
from recall_wire.errors import UnsafeKey
from recall_wire.layout import BareKey, SnapshotKey

SYSTEM_IDS = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}", fullmatch=True)
NAMES = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}", fullmatch=True)
SEQS = st.integers(1, layout.SEQ_MAX)


def test_the_keys_of_version_1() -> None:
    assert layout.head_key("mac-1") == "heads/mac-1"
    assert layout.ack_key("mac-1") == "acks/mac-1"
    assert layout.manifest_key("mac-1", 42) == "systems/mac-1/snapshots/000000000042/manifest.json"
    assert layout.data_key("mac-1", 42, "a.parquet") == (
        "systems/mac-1/snapshots/000000000042/a.parquet"
    )


@given(SYSTEM_IDS, SEQS, NAMES)
def test_what_is_made_is_parsed_and_safe(system_id: str, seq: int, name: str) -> None:
    if name != layout.MANIFEST:
        key = layout.data_key(system_id, seq, name)
        assert layout.parse_key(key) == SnapshotKey(system_id, seq, name)
        assert check_key(key) == key
    parsed = layout.parse_key(layout.manifest_key(system_id, seq))
    assert isinstance(parsed, SnapshotKey)
    assert parsed.is_manifest
    assert layout.parse_head_key(layout.head_key(system_id)) == system_id


@given(SYSTEM_IDS, SEQS, SEQS)
def test_keys_sort_as_their_numbers(system_id: str, one: int, other: int) -> None:
    keys = layout.snapshot_prefix(system_id, one), layout.snapshot_prefix(system_id, other)
    assert (keys[0] < keys[1]) == (one < other)


@given(st.text())
def test_parsing_never_raises_and_never_invents_a_way_out(text: str) -> None:
    for key in (text, f"systems/{text}", f"systems/a/{text}", f"systems/a/snapshots/{text}"):
        parsed = layout.parse_key(key)
        if isinstance(parsed, SnapshotKey):
            assert key == layout.snapshot_prefix(parsed.system_id, parsed.seq) + parsed.name
        elif parsed is not None:
            assert key.startswith(layout.system_prefix(parsed.system_id))
            assert ".." not in key.split("/")
    layout.parse_head_key(text)


HOSTILE = ["", ".", "..", "-a", "_a", "a/b", "a\\b", "a\n", "a b", "ä", "a" * 101, "a\0", "\u0661"]


@pytest.mark.parametrize("system_id", HOSTILE)
def test_a_hostile_system_id_is_refused(system_id: str) -> None:
    for make in (layout.head_key, layout.ack_key, layout.system_prefix):
        with pytest.raises(UnsafeKey):
            make(system_id)
    assert layout.parse_head_key(f"heads/{system_id}") is None


@pytest.mark.parametrize(
    "name", ["", ".", "..", "../x", "a/b", ".hidden", "manifest.json", "a" * 129]
)
def test_a_hostile_file_name_is_refused(name: str) -> None:
    with pytest.raises(UnsafeKey):
        layout.data_key("a", 1, name)


@pytest.mark.parametrize("seq", [0, -1, 10**12])
def test_a_number_out_of_range_is_refused(seq: int) -> None:
    with pytest.raises(UnsafeKey):
        layout.manifest_key("a", seq)


BARE = ["systems/a/x.duckdb", "systems/a/x.parquet", "systems/a/deep/er/x y.duckdb"]
NEITHER = [
    "systems/a/x.txt",
    "systems/a/",
    "systems/a",
    "systems//x.duckdb",
    "systems/a//x.duckdb",
    "systems/a/../x.duckdb",
    "systems/../a/x.duckdb",
    "systems/a/snapshots/x.duckdb",
    "systems/a/snapshots/1/manifest.json",
    "systems/a/snapshots/000000000000/manifest.json",
    "systems/a/snapshots/00000000000\u0661/manifest.json",
    "systems/a/snapshots/-00000000001/manifest.json",
    "systems/a/snapshots/000000000001/deep/x.parquet",
    "systems/a/snapshots/000000000001/",
    "heads/a",
    "x.duckdb",
]


def test_a_cold_file_is_named_by_its_hub_number_and_content() -> None:
    key = layout.cold_key("h1", 7, "ab" * 32)
    assert key == "hub/h1/cold/000000000007-abababababababab.parquet"
    assert key.startswith(layout.cold_prefix("h1"))
    for hub_id in ("", "../h", "a/b"):
        with pytest.raises(UnsafeKey):
            layout.cold_key(hub_id, 7, "ab" * 32)


@pytest.mark.parametrize("key", BARE)
def test_a_bare_snapshot_is_recognised(key: str) -> None:
    assert layout.parse_key(key) == BareKey("a", key)


@pytest.mark.parametrize("key", NEITHER)
def test_other_keys_belong_to_no_snapshot(key: str) -> None:
    assert layout.parse_key(key) is None
