"""Which objects of the bucket still hold memories that are to be forgotten. Read-only."""

from __future__ import annotations

import tempfile
from collections.abc import Collection, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from recall_wire import layout
from recall_wire.buckets.base import Bucket, ObjectInfo
from recall_wire.errors import LimitExceeded, ObjectNotFound

Json = dict[str, Any]

# So much is looked into; of more, every object is named as one that may hold it.
LOOK_BYTES = 512 << 20
LOOK_OBJECTS = 2_000
LOOKS_AT_ONCE = 8
_BATCH_ROWS = 8_192

# The kind of a holder that is an object of the hub's own log.
LOG = "log"


@dataclass(frozen=True)
class Holder:
    """An object, or a prefix, that holds such memories: `rows` of them where that is known.

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


@dataclass(frozen=True)
class Wanted:
    """Rows with content of these memories, in the snapshots of one system.

    A row is about the system's own memory, or, by its `target_system`, about another's.
    """

    system_id: str
    by_system: Mapping[str, Collection[str]]

    COLUMNS: ClassVar = ("memory_id", "op", "target_system")

    def among(self, batch: pa.RecordBatch) -> pa.Array:
        """Which rows of a batch are such, as a mask. Raises KeyError where a column is missing."""
        ids = batch.column("memory_id").cast(pa.string())
        owners = pa.array([self.system_id] * batch.num_rows, pa.string())
        if "target_system" in batch.schema.names:
            owners = pc.coalesce(batch.column("target_system").cast(pa.string()), owners)
        found = pa.array([False] * batch.num_rows, pa.bool_())
        for system_id, some in self.by_system.items():
            named = pc.is_in(ids, value_set=pa.array(sorted(some), pa.string()))
            found = pc.or_(found, pc.and_(named, pc.equal(owners, system_id)))
        return pc.and_(found, pc.equal(batch.column("op").cast(pa.string()), "upsert"))


def in_snapshots(
    bucket: Bucket,
    by_system: Mapping[str, Collection[str]],
    editors: Collection[str],
    merged: Collection[tuple[str, int]],
    folder: Path,
) -> list[Holder]:
    """The objects of these systems that hold rows with these ids, in the order of the systems and
    the keys, and those of `editors`, whose snapshots have rows about memories of these.

    `merged`: the snapshots that were merged. Their Parquet objects are looked into, since a reader
    with limits has read the same bytes; every other object may hold them. Raises what the bucket
    raises.
    """
    objects = [
        (system_id, item)
        for system_id in sorted({*by_system, *editors})
        for item in _listed(bucket, layout.system_prefix(system_id))
    ]
    looked = [item for system_id, item in objects if _is_readable(item, merged)]
    is_few = len(looked) <= LOOK_OBJECTS and sum(item.bytes for item in looked) <= LOOK_BYTES

    def look(system_id: str, item: ObjectInfo) -> int | None:
        if not is_few or not _is_readable(item, merged):
            return None
        return rows_with(bucket, item, Wanted(system_id, by_system), folder)

    with ThreadPoolExecutor(LOOKS_AT_ONCE, thread_name_prefix="forget") as pool:
        counts = list(pool.map(lambda one: look(*one), objects))
    return [
        _holder(system_id, item, rows)
        for (system_id, item), rows in zip(objects, counts, strict=True)
        if rows is None or rows
    ]


def other_hubs(bucket: Bucket, hub_id: str) -> list[Holder]:
    """What other hubs keep in the bucket: this one cannot tell what is in there."""
    return [
        Holder(prefix, "hub", kept="another hub's backups and cold files: forget it there, too")
        for page in bucket.list(layout.HUB, delimiter="/")
        for prefix in page.prefixes
        if layout.parse_hub_prefix(prefix) not in (None, hub_id)
    ]


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


def rows_with(bucket: Bucket, item: ObjectInfo, wanted: Wanted, folder: Path) -> int | None:
    """How many rows have content of such memories; None where that cannot be said.

    `folder` is for the object while it is read.
    """
    with tempfile.TemporaryDirectory(dir=folder) as own:
        path = Path(own) / "object"
        try:
            sha256 = bucket.download(item.key, path, max_bytes=item.bytes)
        except ObjectNotFound:
            return 0  # deleted since it was listed
        except LimitExceeded:
            return None
        return _rows_in(path, wanted) if _is_named_by(sha256, item) else None


def _is_named_by(sha256: str, item: ObjectInfo) -> bool:
    return sha256[:16] in item.key.rpartition("/")[2]


def _rows_in(path: Path, wanted: Wanted) -> int | None:
    try:
        with pq.ParquetFile(path) as file:
            names = [name for name in Wanted.COLUMNS if name in file.schema_arrow.names]
            batches = file.iter_batches(_BATCH_ROWS, columns=names)
            return sum(int(pc.sum(wanted.among(batch)).as_py() or 0) for batch in batches)
    except (pa.ArrowException, OSError, KeyError):
        return None


def _holder(system_id: str, item: ObjectInfo, rows: int | None) -> Holder:
    parsed = layout.parse_key(item.key)
    if not isinstance(parsed, layout.SnapshotKey):
        why = "another tool's file: only its owner can take something out of it"
        return Holder(item.key, "bare", rows, system_id, kept=why)
    return Holder(item.key, "snapshot", rows, system_id, parsed.seq)
