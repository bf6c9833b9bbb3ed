"""Cold files in the bucket: put, proven by reading them back, and read whole."""

from __future__ import annotations

import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from recall_daemon.store import cold_files
from recall_daemon.store.cold_files import ColdFile
from recall_daemon.store.store import Store
from recall_daemon.tiers import cold_object
from recall_daemon.tiers.errors import ColdDamaged, ColdUnproven, NoColdBucket
from recall_wire import layout
from recall_wire.buckets.base import Bucket
from recall_wire.buckets.multipart import upload_file
from recall_wire.errors import LimitExceeded, ObjectNotFound
from recall_wire.manifest import sha256_hex


class ColdStore:
    """Writes and reads cold files. `folder` is for files on their way, and emptied at will."""

    def __init__(
        self,
        store: Store,
        open_bucket: Callable[[], Bucket | None],
        *,
        folder: Path,
        hub_id: str,
        now: Callable[[], datetime],
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._store = store
        self._open_bucket = open_bucket
        self._bucket: Bucket | None = None
        self._opening = threading.Lock()
        self._folder = folder
        self._now = now
        self._sleep = sleep
        self.hub_id = hub_id

    @property
    def bucket(self) -> Bucket:
        """Opened at the first need, once. Raises `NoColdBucket`."""
        with self._opening:
            self._bucket = self._bucket or self._open_bucket()
        if self._bucket is None:
            raise NoColdBucket(
                "there is no bucket for cold rows",
                hint="set RECALLD_BUCKET_URL or RECALLD_COLD_BUCKET_URL",
            )
        return self._bucket

    def close(self) -> None:
        if self._bucket is not None:
            self._bucket.close()

    def put(self, rows: pa.Table) -> ColdFile:
        """Write rows (`cold_files.COLUMNS`) as a new object and prove that it is there, whole.

        The object is read back: its sha256, its rows in their order, and each row's content hash
        must be what was written. Nothing is registered. Raises `ColdUnproven`, and what the bucket
        raises.
        """
        file_no = self._store.write(cold_files.reserve)
        with self._temporary() as folder:
            path = folder / "new.parquet"
            cold_object.write(rows, path)
            data = path.read_bytes()
            sha256 = sha256_hex(data)
            key = layout.cold_key(self.hub_id, file_no, sha256)
            parts = cold_object.layout_of(len(data), cold_object.footer_of(data))
            file = ColdFile(
                file_no=file_no,
                key=key,
                sha256=sha256,
                size=len(data),
                rows=rows.num_rows,
                footer=parts.footer,
                digests=cold_object.digests_of(data, parts),
                created_at=self._now(),
            )
            upload_file(self.bucket, key, path, sha256=sha256, bytes_=len(data), sleep=self._sleep)
            self._prove(file, rows, folder)
        return file

    def read(self, file: ColdFile) -> pa.Table:
        """A whole cold file. Raises `ColdDamaged`, and what the bucket raises."""
        with self._temporary() as folder:
            return self._download(file, folder)

    def delete(self, key: str) -> None:
        """Idempotent."""
        self.bucket.delete(key)

    def _prove(self, file: ColdFile, rows: pa.Table, folder: Path) -> None:
        try:
            back = self._download(file, folder)
        except ColdDamaged as error:
            raise ColdUnproven(f"{file.key} does not read back as it was written") from error
        same = back.select(["row_id", "content_hash"]).equals(
            rows.select(["row_id", "content_hash"])
        )
        with self._store.read() as connection:
            if not same or cold_files.differing(connection, back):
                raise ColdUnproven(f"{file.key} reads back with other rows than were written")

    def _download(self, file: ColdFile, folder: Path) -> pa.Table:
        path = folder / "read.parquet"
        try:
            sha256 = self.bucket.download(file.key, path, max_bytes=file.size)
        except (ObjectNotFound, LimitExceeded) as error:
            raise ColdDamaged(f"the cold file {file.key} is missing or damaged") from error
        # Only bytes that are known are given to a reader.
        if sha256 != file.sha256:
            raise ColdDamaged(f"the cold file {file.key} is damaged")
        return pq.read_table(path, use_threads=False, memory_map=False)

    @contextmanager
    def _temporary(self) -> Iterator[Path]:
        """A folder for one file's way."""
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        with tempfile.TemporaryDirectory(dir=self._folder, prefix="cold-") as folder:
            yield Path(folder)

    def clear(self) -> None:
        """Remove what a killed process left behind. Call it while nothing is written."""
        for path in self._folder.glob("cold-*/*"):
            path.unlink(missing_ok=True)
        for path in self._folder.glob("cold-*"):
            path.rmdir()
