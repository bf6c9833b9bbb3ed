"""Takes forgotten memories out of a snapshot that lies in the bucket.

It stays the same snapshot: its number, its other rows, its place in the ledger. Its data object and
its manifest are written anew; the head and the ledger keep the sha256 of the manifest that its
instance wrote, and by which it knows it again. Only what a head covers is touched: until then its
instance may still be sending it. Each step can be done again after a crash, and at each moment the
bucket holds a snapshot that can be read.
"""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from recall_daemon.memory.remains import Wanted
from recall_daemon.store import ledger
from recall_daemon.store.ledger import Entry, Place
from recall_daemon.store.store import Store
from recall_wire import layout
from recall_wire.buckets.base import Bucket
from recall_wire.buckets.multipart import upload_file
from recall_wire.errors import (
    BucketRefused,
    LimitExceeded,
    ManifestInvalid,
    ObjectNotFound,
    SnapshotInvalid,
)
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
        self._heads: dict[str, int] = {}

    def take_out(self, place: Place, by_system: Mapping[str, Collection[str]]) -> str | None:
        """Rewrite a snapshot without the content of these memories; None when that is done.

        Otherwise one sentence why it was left alone. Rows that delete or forget stay: they say no
        more than an id. Idempotent. Raises what the bucket and the store raise.
        """
        with self._store.read() as connection:
            entry = ledger.find(connection, place)
        if entry is None or entry.state != "merged" or entry.reason is not None:
            return "the hub has not merged it, or not as it is in the bucket"
        if self._head_seq(place.system_id) < place.seq:
            return "no head covers it: its instance may still be sending it"
        key = layout.manifest_key(place.system_id, place.seq)
        try:
            data = self._bucket.get(key, max_bytes=MANIFEST_MAX_BYTES)
            manifest = parse_manifest(data, system_id=place.system_id, seq=place.seq)
            why = _why_not(entry, manifest, sha256_hex(data))
            if why is None:
                wanted = Wanted(place.system_id, by_system)
                self._rewrite(entry, manifest, sha256_hex(data), wanted)
            return why
        except (
            ObjectNotFound,
            LimitExceeded,
            ManifestInvalid,
            SnapshotInvalid,
            pa.ArrowException,
        ) as error:
            return f"it cannot be read: {error}"

    def _rewrite(self, entry: Entry, manifest: Manifest, sha256: str, wanted: Wanted) -> None:
        place = entry.place
        with tempfile.TemporaryDirectory(dir=self._folder) as folder:
            written = [self._write(manifest, file, wanted, Path(folder)) for file in manifest.files]
        removed = sum(one.removed for one in written)
        if removed:
            manifest = manifest.model_copy(
                update={
                    # Two that became empty would have one name; one file there must be.
                    "files": tuple(one.file for one in written if one.rows) or (written[0].file,),
                    "rows": max(manifest.rows - removed, 0),
                }
            )
            key = layout.manifest_key(place.system_id, place.seq)
            self._settle(entry, self._bucket.put(key, manifest.to_bytes()))
        elif sha256 != entry.manifest_sha256:
            # Written anew before, by a run that was killed before it could say so.
            key = layout.manifest_key(place.system_id, place.seq)
            self._settle(entry, self._bucket.head(key).etag)
        self._delete_unnamed(place, manifest)

    def _settle(self, entry: Entry, etag: str) -> None:
        """The ledger knows the manifest as it is now: it may expire like any other."""
        if entry.etag != etag:
            self._store.write(lambda c: ledger.record(c, replace(entry, etag=etag)))

    def _write(self, manifest: Manifest, file: DataFile, wanted: Wanted, folder: Path) -> _Written:
        """The file without those rows, in the bucket under its new name."""
        old, new = folder / "old.parquet", folder / "new.parquet"
        key = layout.data_key(manifest.system_id, manifest.seq, file.name)
        if self._bucket.download(key, old, max_bytes=file.bytes) != file.sha256:
            raise SnapshotInvalid(f"{key} is not what its manifest says")
        rows, removed = _without(old, new, wanted)
        if not removed:
            return _Written(file, rows, 0)
        sha256, size = _digest(new), new.stat().st_size
        name = f"memories-{sha256[:16]}.parquet"
        new_key = layout.data_key(manifest.system_id, manifest.seq, name)
        upload_file(self._bucket, new_key, new, sha256=sha256, bytes_=size)
        if self._bucket.head(new_key).bytes != size:
            raise BucketRefused(f"{self._bucket.url} said that it stored {new_key}, and has not")
        told = {"name": name, "bytes": size, "sha256": sha256}
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
        """0 where there is no head that can be read. Asked once: heads only rise."""
        if system_id not in self._heads:
            try:
                data = self._bucket.get(layout.head_key(system_id), max_bytes=HEAD_MAX_BYTES)
                self._heads[system_id] = parse_head(data, system_id=system_id).seq
            except (ObjectNotFound, LimitExceeded, ManifestInvalid):
                self._heads[system_id] = 0
        return self._heads[system_id]


def _why_not(entry: Entry, manifest: Manifest, sha256: str) -> str | None:
    """Why this hub cannot take rows out of a snapshot, in one sentence."""
    if entry.is_uncompared and sha256 != entry.manifest_sha256:
        return "it is not the one that was pushed, and that the hub has merged"
    if manifest.encryption is not None:
        return "it is encrypted, and this hub holds no key"
    if any(file.format != "parquet" for file in manifest.files):
        return "it is a database that came whole, which the hub cannot rewrite"
    return None


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _without(old: Path, new: Path, wanted: Wanted) -> tuple[int, int]:
    """Copy a Parquet file but for rows with such content: (rows kept, rows left out)."""
    kept = removed = 0
    with (
        pq.ParquetFile(old) as file,
        pq.ParquetWriter(new, file.schema_arrow, compression="zstd") as writer,
    ):
        for batch in file.iter_batches(_BATCH_ROWS):
            rest = batch.filter(pc.invert(wanted.among(batch)))
            writer.write_batch(rest)
            kept += rest.num_rows
            removed += batch.num_rows - rest.num_rows
    return kept, removed
