"""Takes forgotten memories out of a snapshot that lies in the bucket.

It stays the same snapshot: its number, its other rows, its place in the ledger. Its data object and
its manifest are written anew. Nobody who made it looks at it again: only snapshots below the one
its system's head points to are touched, which their instance has seen acknowledged. Each step can
be done again after a crash, and at each moment the bucket holds a snapshot that can be read.
"""

from __future__ import annotations

import tempfile
from collections.abc import Collection
from dataclasses import dataclass, replace
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from recall_daemon.store import ledger
from recall_daemon.store.ledger import Entry, Place
from recall_daemon.store.store import Store
from recall_wire import layout
from recall_wire.buckets.base import Bucket
from recall_wire.errors import ManifestInvalid, ObjectNotFound
from recall_wire.manifest import (
    HEAD_MAX_BYTES,
    MANIFEST_MAX_BYTES,
    DataFile,
    Manifest,
    parse_head,
    parse_manifest,
    sha256_hex,
)

_BATCH_ROWS = 8_192


@dataclass(frozen=True)
class _Written:
    """A data file without the forgotten rows: how many it has, and how many it lost."""

    file: DataFile
    rows: int
    removed: int


class SnapshotRewriter:
    """Blocking. One at a time. `folder` is for files on their way."""

    def __init__(self, store: Store, bucket: Bucket, folder: Path) -> None:
        self._store = store
        self._bucket = bucket
        self._folder = folder

    def take_out(self, place: Place, ids: Collection[str]) -> str | None:
        """Rewrite a snapshot without the content of these memories; None when that is done.

        Otherwise one sentence why it was left alone. Rows that delete or forget stay: they say no
        more than an id. Idempotent. Raises what the bucket and the store raise.
        """
        with self._store.read() as connection:
            entry = ledger.find(connection, place)
        if entry is None or entry.state != "merged" or entry.reason is not None:
            return "the hub has not merged it, or not as it is in the bucket"
        if self._head_seq(place.system_id) <= place.seq:
            return "it is its system's newest: it can be rewritten once there is a newer one"
        key = layout.manifest_key(place.system_id, place.seq)
        try:
            data = self._bucket.get(key, max_bytes=MANIFEST_MAX_BYTES)
            manifest = parse_manifest(data, system_id=place.system_id, seq=place.seq)
        except (ObjectNotFound, ManifestInvalid) as error:
            return f"its manifest cannot be read: {error}"
        if manifest.encryption is not None:
            return "it is encrypted, and this hub holds no key"
        if any(file.format != "parquet" for file in manifest.files):
            return "it is a database that came whole, which the hub cannot rewrite"
        self._rewrite(entry, manifest, set(ids))
        return None

    def _rewrite(self, entry: Entry, manifest: Manifest, ids: set[str]) -> None:
        place = entry.place
        with tempfile.TemporaryDirectory(dir=self._folder) as folder:
            written = [self._write(manifest, file, ids, Path(folder)) for file in manifest.files]
        removed = sum(one.removed for one in written)
        if removed:
            new = manifest.model_copy(
                update={
                    # Two that became empty would have one name; one file there must be.
                    "files": tuple(one.file for one in written if one.rows) or (written[0].file,),
                    "rows": max(manifest.rows - removed, 0),
                }
            )
            self._replace(entry, new.to_bytes())
            manifest = new
        self._delete_unnamed(place, manifest)

    def _replace(self, entry: Entry, data: bytes) -> None:
        """The ledger first: a poll in between must not find a snapshot that it does not know."""
        key = layout.manifest_key(entry.place.system_id, entry.place.seq)
        seen = entry.etag or self._bucket.head(key).etag
        known = replace(entry, manifest_sha256=sha256_hex(data), etag=seen)
        self._store.write(lambda connection: ledger.record(connection, known))
        etag = self._bucket.put(key, data)
        self._store.write(lambda connection: ledger.record(connection, replace(known, etag=etag)))

    def _write(self, manifest: Manifest, file: DataFile, ids: set[str], folder: Path) -> _Written:
        """The file without those rows, in the bucket under its new name."""
        old, new = folder / "old.parquet", folder / "new.parquet"
        key = layout.data_key(manifest.system_id, manifest.seq, file.name)
        self._bucket.download(key, old, max_bytes=file.bytes)
        rows, removed = _without(old, new, ids)
        if not removed:
            return _Written(file, rows, 0)
        data = new.read_bytes()
        sha256 = sha256_hex(data)
        name = f"memories-{sha256[:16]}.parquet"
        self._bucket.put(layout.data_key(manifest.system_id, manifest.seq, name), data)
        told = {"name": name, "bytes": len(data), "sha256": sha256}
        if file.rows is not None:
            told["rows"] = rows
        return _Written(file.model_copy(update=told), rows, removed)

    def _delete_unnamed(self, place: Place, manifest: Manifest) -> None:
        """What the manifest names no more, also what a crash left."""
        named = {file.name for file in manifest.files}
        for page in self._bucket.list(layout.snapshot_prefix(place.system_id, place.seq)):
            for item in page.objects:
                parsed = layout.parse_key(item.key)
                if isinstance(parsed, layout.SnapshotKey) and not (
                    parsed.is_manifest or parsed.name in named
                ):
                    self._bucket.delete(item.key)

    def _head_seq(self, system_id: str) -> int:
        """0 where there is no head that can be read."""
        try:
            data = self._bucket.get(layout.head_key(system_id), max_bytes=HEAD_MAX_BYTES)
            return parse_head(data, system_id=system_id).seq
        except (ObjectNotFound, ManifestInvalid):
            return 0


def _without(old: Path, new: Path, ids: set[str]) -> tuple[int, int]:
    """Copy a Parquet file but for rows with content of these ids: (rows kept, rows left out)."""
    kept = removed = 0
    wanted = pa.array(sorted(ids), pa.string())
    with (
        pq.ParquetFile(old) as file,
        pq.ParquetWriter(new, file.schema_arrow, compression="zstd") as writer,
    ):
        for batch in file.iter_batches(_BATCH_ROWS):
            named = pc.is_in(batch.column("memory_id").cast(pa.string()), wanted)
            gone = pc.and_(named, pc.equal(batch.column("op").cast(pa.string()), "upsert"))
            rest = batch.filter(pc.invert(gone))
            writer.write_batch(rest)
            kept += rest.num_rows
            removed += batch.num_rows - rest.num_rows
    return kept, removed
