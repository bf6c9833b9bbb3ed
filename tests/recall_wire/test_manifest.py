"""The manifest, the head and the ack: frozen bytes, and what is refused."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from recall_wire.errors import ManifestInvalid
from recall_wire.manifest import (
    HEAD_MAX_BYTES,
    MANIFEST_MAX_BYTES,
    SNAPSHOT_MAX_ROWS,
    Ack,
    DataFile,
    EmbeddingSpace,
    Head,
    Manifest,
    Producer,
    QuarantinedSeq,
    Source,
    parse_ack,
    parse_head,
    parse_manifest,
    sha256_hex,
)

GOLDEN = Path(__file__).parent / "golden"
SHA256 = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
NAME = f"records-{SHA256[:16]}.parquet"
SEEN = datetime(2026, 11, 20, 12, 0, 0, 123456, tzinfo=UTC)
SMALLEST = {
    "system_id": "mac-1",
    "seq": 42,
    "machine": "m",
    "instance_id": "i",
    "created_at": SEEN,
    "producer": Producer(name="recall", version="0.1.0"),
    "source": Source(type="session-buddy", fingerprint="abc"),
}
FILE = DataFile(
    name=NAME, format="parquet", bytes=4, sha256=SHA256, rows=3, min_time=SEEN, max_time=SEEN
)
DELTA = Manifest(
    **SMALLEST,
    kind="delta",
    files=(FILE,),
    rows=3,
    deletes=1,
    redacted=2,
    embedding=EmbeddingSpace(model="all-MiniLM-L6-v2", revision="r1", dim=384, normalized=True),
    watermark="conversations_v2:17",
)
RAW = Manifest(
    **SMALLEST,
    kind="full",
    files=(
        DataFile(name=f"raw-{SHA256[:16]}.duckdb", format="duckdb", bytes=10**10, sha256=SHA256),
        DataFile(name=f"raw-{SHA256[:16]}.duckdb.wal", format="duckdb-wal", bytes=0, sha256=SHA256),
    ),
)
VOID = Manifest(**SMALLEST, kind="void")
HEAD = Head(seq=42, manifest_sha256=SHA256, machine="m")
ACK = Ack(
    complete_to=40,
    missing=((41, 41), (43, 50)),
    quarantined=(QuarantinedSeq(seq=42, reason="checksum: \u00fc"),),
)
# One frozen file each: they are never regenerated, only added to.
MANIFESTS = {"manifest-delta": DELTA, "manifest-raw": RAW, "manifest-void": VOID}


def golden(name: str) -> bytes:
    return (GOLDEN / "v1" / f"{name}.json").read_bytes()


# Frozen


@pytest.mark.parametrize("name", MANIFESTS)
def test_version_1_manifests_are_still_read(name: str) -> None:
    assert parse_manifest(golden(name), system_id="mac-1", seq=42) == MANIFESTS[name]


@pytest.mark.parametrize("name", MANIFESTS)
def test_version_1_manifests_are_still_written_alike(name: str) -> None:
    assert MANIFESTS[name].to_bytes() == golden(name)


def test_version_1_heads_and_acks() -> None:
    assert parse_head(golden("head"), system_id="mac-1") == HEAD
    assert HEAD.to_bytes() == golden("head")
    assert parse_ack(golden("ack"), system_id="mac-1") == ACK
    assert ACK.to_bytes() == golden("ack")


def test_every_golden_file_is_compared() -> None:
    names = {path.stem for path in (GOLDEN / "v1").iterdir()}
    assert names == {*MANIFESTS, "head", "ack"}


# Reading


def changed(name: str = "manifest-delta", **changes: Any) -> bytes:
    return json.dumps(json.loads(golden(name)) | changes).encode()


def test_unknown_keys_are_tolerated_on_read_at_every_depth() -> None:
    content = json.loads(golden("manifest-delta"))
    content["new"] = {"deep": [1]}
    content["files"][0]["new"] = 1
    content["producer"]["new"] = None
    assert parse_manifest(json.dumps(content).encode(), system_id="mac-1", seq=42) == DELTA


def test_unknown_keys_are_refused_on_write() -> None:
    with pytest.raises(ValidationError):
        Manifest(**SMALLEST, kind="void", new=1)  # type: ignore[call-arg]


FILE_JSON = json.loads(golden("manifest-delta"))["files"][0]
WRONG: list[tuple[dict[str, Any], str]] = [
    ({"version": 2}, "version"),
    ({"format": "something"}, "format"),
    ({"seq": 43}, "says it is manifest 43"),
    ({"seq": 10**12}, "seq"),
    ({"seq": 0}, "seq"),
    ({"seq": "many"}, "seq"),
    ({"system_id": "other"}, "of other"),
    ({"system_id": "../etc"}, "not a system id"),
    ({"rows": 10**12}, "rows"),
    ({"rows": -1}, "rows"),
    ({"kind": "partial"}, "kind"),
    ({"kind": "void"}, "a void snapshot has files"),
    ({"files": []}, "there are no files"),
    ({"files": [FILE_JSON] * 17}, "files"),
    ({"files": [FILE_JSON] * 2}, "two files have one name"),
    ({"files": [FILE_JSON | {"name": "../x.parquet"}]}, "plain data file name"),
    ({"files": [FILE_JSON | {"name": "other.parquet"}]}, "does not carry"),
    ({"files": [FILE_JSON | {"sha256": SHA256.upper()}]}, "sha256"),
    ({"files": [FILE_JSON | {"bytes": -1}]}, "bytes"),
    ({"files": [FILE_JSON | {"rows": 10**9}]}, "are more than 50000"),
    ({"files": [FILE_JSON | {"format": "csv"}]}, "format"),
    ({"created_at": "2026-11-20T12:00:00"}, "created_at"),
    ({"machine": "m" * 201}, "machine"),
    ({"embedding": {"model": "m", "revision": "r", "dim": 0, "normalized": True}}, "dim"),
    ({"watermark": "x" * 10_001}, "watermark"),
]


@pytest.mark.parametrize(("changes", "said"), WRONG)
def test_a_wrong_manifest_is_one_sentence(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(ManifestInvalid) as caught:
        parse_manifest(changed(**changes), system_id="mac-1", seq=42)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("key", json.loads(golden("manifest-void")))
def test_a_missing_key_is_refused_or_has_its_default(key: str) -> None:
    content = json.loads(golden("manifest-void"))
    del content[key]
    data = json.dumps(content).encode()
    if key in SMALLEST or key == "kind":
        with pytest.raises(ManifestInvalid, match=key):
            parse_manifest(data, system_id="mac-1", seq=42)
    else:
        assert parse_manifest(data, system_id="mac-1", seq=42) == VOID


BROKEN = [b"", b"{", b"null", b"[]", b"\xff\xfe", b"\0" * 10, b'{"seq": NaN}', b"[" * 100_000]


@pytest.mark.parametrize("data", BROKEN)
def test_broken_bytes_are_refused(data: bytes) -> None:
    with pytest.raises(ManifestInvalid):
        parse_manifest(data, system_id="a", seq=1)
    with pytest.raises(ManifestInvalid):
        parse_head(data, system_id="a")
    with pytest.raises(ManifestInvalid):
        parse_ack(data, system_id="a")


def test_too_many_bytes_are_refused_before_they_are_parsed() -> None:
    with pytest.raises(ManifestInvalid, match="more than"):
        parse_manifest(b" " * (MANIFEST_MAX_BYTES + 1), system_id="a", seq=1)
    with pytest.raises(ManifestInvalid, match="more than"):
        parse_head(b" " * (HEAD_MAX_BYTES + 1), system_id="a")


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    with pytest.raises(ManifestInvalid):
        parse_manifest(data, system_id="a", seq=1)


@given(st.integers(0, 300))
def test_a_cut_manifest_is_refused(kept: int) -> None:
    with pytest.raises(ManifestInvalid):
        parse_manifest(golden("manifest-void")[:kept], system_id="mac-1", seq=42)


# Writing


def test_the_same_manifest_gives_the_same_bytes() -> None:
    again = Manifest.model_validate_json(DELTA.to_bytes())
    assert again.to_bytes() == DELTA.to_bytes()
    assert sha256_hex(again.to_bytes()) == sha256_hex(golden("manifest-delta"))


def test_a_snapshot_holds_at_most_its_share_of_rows() -> None:
    full = FILE.model_copy(update={"rows": SNAPSHOT_MAX_ROWS})
    assert Manifest(**SMALLEST, kind="delta", files=(full,)).parquet_rows == SNAPSHOT_MAX_ROWS
    one_more = FILE.model_copy(update={"rows": SNAPSHOT_MAX_ROWS + 1})
    with pytest.raises(ValidationError, match="are more than"):
        Manifest(**SMALLEST, kind="delta", files=(one_more,))


def test_sums_over_the_files() -> None:
    assert (RAW.data_bytes, RAW.parquet_rows) == (10**10, 0)
    assert (DELTA.data_bytes, DELTA.parquet_rows) == (4, 3)


def test_an_embedding_space_has_one_name() -> None:
    space = EmbeddingSpace(model="m", revision="r", dim=3, normalized=True)
    assert space.space_id == "m@r:3"
    assert space.model_copy(update={"normalized": False}).space_id == "m@r:3:raw"
