"""Which objects of the bucket still hold memories that are to be forgotten. Read-only."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from recall_wire import layout
from recall_wire.buckets.base import Bucket, ObjectInfo
from recall_wire.errors import LimitExceeded, ObjectNotFound

Json = dict[str, Any]

# So much is looked into; of more, every object is named as one that may hold it.
LOOK_BYTES = 512 << 20
LOOK_OBJECTS = 2_000
_BATCH_ROWS = 8_192


@dataclass(frozen=True)
class Holder:
    """An object that holds such memories: `rows` of them where it was looked into, else None.

    `seq` is the snapshot's. `kept`: why no rewriting takes them out of it.
    """

    key: str
    kind: str
    rows: int | None = None
    system_id: str | None = None
    seq: int | None = None
    kept: str | None = None

    def to_json(self) -> Json:
        said = {"key": self.key, "kind": self.kind, "holds": "yes" if self.rows else "may"}
        return (
            said
            | ({"rows": self.rows} if self.rows else {})
            | ({"kept": self.kept} if self.kept else {})
        )


def in_snapshots(
    bucket: Bucket,
    by_system: Mapping[str, Collection[str]],
    merged: Collection[tuple[str, int]],
    folder: Path,
) -> list[Holder]:
    """The objects of these systems that hold rows with these ids, in the order of the keys.

    `merged`: the snapshots that were merged. Their Parquet objects are looked into, since a reader
    with limits has read the same bytes; every other object may hold them. Raises what the bucket
    raises.
    """
    objects = [
        (system_id, item)
        for system_id in sorted(by_system)
        for item in _listed(bucket, layout.system_prefix(system_id))
    ]
    looked = [item for system_id, item in objects if _is_readable(item, merged)]
    is_few = len(looked) <= LOOK_OBJECTS and sum(item.bytes for item in looked) <= LOOK_BYTES
    found = []
    for system_id, item in objects:
        rows = None
        if is_few and _is_readable(item, merged):
            rows = rows_with(bucket, item, set(by_system[system_id]), folder)
        if rows is None or rows:
            found.append(_holder(system_id, item, rows))
    return found


def _listed(bucket: Bucket, prefix: str) -> Iterator[ObjectInfo]:
    """Data objects: of snapshots, and bare ones."""
    for page in bucket.list(prefix):
        for item in page.objects:
            parsed = layout.parse_key(item.key)
            if isinstance(parsed, layout.BareKey) or (
                isinstance(parsed, layout.SnapshotKey) and not parsed.is_manifest
            ):
                yield item


def _is_readable(item: ObjectInfo, merged: Collection[tuple[str, int]]) -> bool:
    parsed = layout.parse_key(item.key)
    return (
        isinstance(parsed, layout.SnapshotKey)
        and item.key.endswith(".parquet")
        and (parsed.system_id, parsed.seq) in merged
    )


def rows_with(bucket: Bucket, item: ObjectInfo, ids: set[str], folder: Path) -> int | None:
    """How many rows with content have one of the ids; None where that cannot be said."""
    path = folder / "object"
    try:
        sha256 = bucket.download(item.key, path, max_bytes=item.bytes)
    except (ObjectNotFound, LimitExceeded):
        return None
    try:
        if sha256[:16] not in item.key.rpartition("/")[2]:
            return None
        with pq.ParquetFile(path) as file:
            batches = file.iter_batches(_BATCH_ROWS, columns=["memory_id", "op"])
            return sum(_count(batch, ids) for batch in batches)
    except (pa.ArrowException, OSError, KeyError):
        return None
    finally:
        path.unlink(missing_ok=True)


def _count(batch: pa.RecordBatch, ids: set[str]) -> int:
    return sum(
        op == "upsert" and memory_id in ids
        for memory_id, op in zip(
            batch.column("memory_id").to_pylist(), batch.column("op").to_pylist(), strict=True
        )
    )


def _holder(system_id: str, item: ObjectInfo, rows: int | None) -> Holder:
    parsed = layout.parse_key(item.key)
    if not isinstance(parsed, layout.SnapshotKey):
        why = "another tool's file: only its owner can take something out of it"
        return Holder(item.key, "bare", rows, system_id, kept=why)
    return Holder(item.key, "snapshot", rows, system_id, parsed.seq)
