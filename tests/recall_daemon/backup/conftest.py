"""A hub's archive over a folder or an S3 server, with a bucket that can be made to fail."""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import boto3
import pyarrow as pa
import pytest
from botocore.config import Config
from moto.server import ThreadedMotoServer

from recall_daemon.backup import restore
from recall_daemon.backup.archive import Archive, make_archive
from recall_daemon.jobs import Progress
from recall_daemon.settings import HubSettings
from recall_daemon.store import audit, journal, ledger
from recall_daemon.store.forget import forget_rows
from recall_daemon.store.ledger import Entry, Place
from recall_daemon.store.merge import merge_rows
from recall_daemon.store.store import Store
from recall_wire import layout
from recall_wire.buckets import Bucket, S3Options, open_bucket
from recall_wire.errors import BucketUnreachable
from recall_wire.records import Record

HUB = "0123456789ab"
START = datetime(2026, 3, 2, 12, tzinfo=UTC)  # a Monday


@dataclass
class FaultyBucket:
    """The `fail_at`-th call fails: before it is made or, with `lost`, after it worked."""

    inner: Bucket
    fail_at: int = 0
    lost: bool = False
    calls: list[str] = field(default_factory=list)

    @property
    def url(self) -> str:
        return self.inner.url

    def list(self, *arguments: Any, **options: Any) -> Iterator[Any]:
        yield from self._call("list", *arguments, **options)

    def __getattr__(self, name: str) -> Callable[..., Any]:
        return lambda *arguments, **options: self._call(name, *arguments, **options)

    def _call(self, name: str, *arguments: Any, **options: Any) -> Any:
        self.calls.append(name)
        fails = len(self.calls) == self.fail_at
        if fails and not self.lost:
            raise BucketUnreachable("the line is cut")
        answer = getattr(self.inner, name)(*arguments, **options)
        if fails:
            raise BucketUnreachable("the answer is lost")
        return answer


@dataclass
class Keeper:
    """A store with its archive, and a clock that moves when told."""

    store: Store
    bucket: Bucket
    settings: HubSettings
    rows: Callable[..., pa.Table]
    clock: list[datetime] = field(default_factory=lambda: [START])

    def archive(self, bucket: Any = None) -> Archive:
        found = make_archive(
            self.settings, self.store, bucket or self.bucket, now=lambda: self.clock[0]
        )
        return found

    def backup(self, bucket: Any = None) -> str:
        """Make one, a second after the one before; its id."""
        self.clock[0] += timedelta(seconds=1)
        archive = self.archive(bucket)
        archive.backups.run(Progress())
        return str(archive.backups.listed()["backups"][0]["backup_id"])

    def merge(self, seq: int, *texts: str, system_id: str = "a", **entry: Any) -> None:
        """A merged snapshot in store and ledger, without objects in the bucket."""
        records = [Record(f"m{seq}-{n}", text=text) for n, text in enumerate(texts)]
        place = Place(system_id, seq)
        known = {"etag": None, "manifest_sha256": None} | entry

        def work(connection: Any) -> None:
            ledger.see_system(connection, system_id, self.clock[0])
            merge_rows(connection, place, self.rows(records), self.clock[0])
            ledger.record(
                connection,
                Entry(
                    place,
                    "bucket",
                    layout.manifest_key(system_id, seq),
                    "merged",
                    self.clock[0],
                    rows=len(records),
                    rows_done=len(records),
                    settled_at=self.clock[0],
                    **known,
                ),
            )

        self.store.write(work)

    def forget(self, *ids: str, system_id: str = "a", kind: str = "forget") -> int:
        """As `recalld forget` does: the rows and the journal in one transaction."""
        identities = [(system_id, name) for name in ids]

        def work(connection: Any) -> int:
            body = {"identities": [list(identity) for identity in identities]}
            entry_no = journal.append(connection, kind, body, self.clock[0])
            forget_rows(connection, identities, entry_no, self.clock[0])
            return entry_no

        return int(self.store.write(work))

    def logical_hash(self) -> str:
        with self.store.read() as connection:
            assert audit.problems(connection) == []
            return audit.logical_hash(connection)

    def keys(self, prefix: str = "") -> list[str]:
        return [item.key for page in self.bucket.list(prefix) for item in page.objects]


@contextmanager
def keeper_in(folder: Path, bucket: Bucket, rows: Any, **settings: Any) -> Iterator[Keeper]:
    values = {"data_dir": folder, "embedder": "hash"} | settings
    store = Store(folder)
    store.write(lambda connection: ledger.set_fact(connection, "hub_id", HUB))
    try:
        yield Keeper(store, bucket, HubSettings(**values), rows)
    finally:
        store.close()


@pytest.fixture
def folder_bucket(tmp_path: Path) -> Bucket:
    (tmp_path / "bucket").mkdir()
    return open_bucket(f"file://{tmp_path / 'bucket'}")


@pytest.fixture(scope="session")
def moto() -> Iterator[str]:
    server = ThreadedMotoServer(port=0)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def s3_bucket(moto: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bucket]:
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    name = f"b{uuid.uuid4().hex}"
    keys = {"aws_access_key_id": "key", "aws_secret_access_key": "secret"}
    client = boto3.client(
        "s3", endpoint_url=moto, region_name="us-east-1", config=Config(retries={}), **keys
    )
    client.create_bucket(Bucket=name)
    client.close()
    options = S3Options(
        endpoint_url=moto, region="us-east-1", access_key_id="key", secret_access_key="secret"
    )
    bucket = open_bucket(f"s3://{name}/prefix", options)
    yield bucket
    bucket.close()


@pytest.fixture(params=["folder", "moto"])
def bucket(request: pytest.FixtureRequest) -> Bucket:
    name = "folder_bucket" if request.param == "folder" else "s3_bucket"
    found: Bucket = request.getfixturevalue(name)
    return found


@pytest.fixture
def keeper(tmp_path: Path, with_store: Any, bucket: Bucket, rows: Any) -> Iterator[Keeper]:
    """Over each kind of bucket."""
    with keeper_in(with_store(tmp_path / "keeper"), bucket, rows) as found:
        yield found


@pytest.fixture
def open_keeper(
    tmp_path: Path, with_store: Any, folder_bucket: Bucket, rows: Any
) -> Callable[..., Any]:
    """`open_keeper(folder, bucket?, **settings)`: over the folder bucket where none is given."""

    def opened(folder: str = "keeper", bucket: Any = None, **settings: Any) -> Any:
        folder_path = with_store(tmp_path / folder)
        return keeper_in(folder_path, bucket or folder_bucket, rows, **settings)

    return opened


@pytest.fixture
def restored(tmp_path: Path, rows: Any) -> Callable[..., Any]:
    """`restored(bucket, folder)`: what `prepare` makes of an empty folder, opened."""

    @contextmanager
    def opened(
        bucket: Any, folder: str, to: datetime | None = None
    ) -> Iterator[tuple[restore.Prepared, Keeper]]:
        path = tmp_path / folder
        prepared = restore.prepare(bucket, path, hub_id=HUB, to=to, memory_bytes=1 << 28)
        store = Store(path)
        try:
            yield prepared, Keeper(store, bucket, HubSettings(data_dir=path), rows)
        finally:
            store.close()

    return opened


@pytest.fixture
def faulty() -> Callable[..., FaultyBucket]:
    return FaultyBucket
