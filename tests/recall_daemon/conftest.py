"""A real store, rows as the reader hands them over, and a whole hub over a folder bucket."""

from __future__ import annotations

import io
import shutil
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from fastapi import FastAPI

from recall_daemon.app import Hub, open_hub, open_readers
from recall_daemon.core import open_core
from recall_daemon.ingest.pipeline import PollReport, Readers
from recall_daemon.loop import until_done
from recall_daemon.operations import Json
from recall_daemon.search.query import SearchRequest
from recall_daemon.serve import push
from recall_daemon.serve.gate import Terms
from recall_daemon.serve.guard import Guard
from recall_daemon.serve.routes import make_app
from recall_daemon.settings import HubSettings
from recall_daemon.store import audit
from recall_daemon.store.store import FILE_NAME, Store
from recall_wire import layout
from recall_wire.buckets import AsyncBucket, Bucket, open_bucket
from recall_wire.manifest import (
    Ack,
    DataFile,
    Head,
    Manifest,
    Producer,
    Source,
    parse_ack,
    sha256_hex,
)
from recall_wire.records import Record, text_hash, to_batch

Rows = Callable[[Sequence[Record]], pa.Table]
WithStore = Callable[[Path], Path]


@pytest.fixture(scope="session")
def with_store(tmp_path_factory: pytest.TempPathFactory) -> WithStore:
    """Gives a folder that has no store one without rows: the copy of a file takes a millisecond,
    making it anew fifty, and several times the disk's."""
    empty = tmp_path_factory.mktemp("empty")
    Store(empty).close()

    def given(folder: Path) -> Path:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        if not (folder / FILE_NAME).exists():
            shutil.copyfile(empty / FILE_NAME, folder / FILE_NAME)
        return folder

    return given


@pytest.fixture
def store(tmp_path: Path, with_store: WithStore) -> Iterator[Store]:
    opened = Store(with_store(tmp_path / "hub"))
    yield opened
    opened.close()


@pytest.fixture(scope="session")
def rows() -> Rows:
    """Records as one table with `row_no` and `text_hash`."""

    def make(records: Sequence[Record]) -> pa.Table:
        table = pa.Table.from_batches([to_batch(records)])
        hashes = [text_hash(record.text) for record in records]
        return table.append_column(
            "row_no", pa.array(range(len(records)), pa.int64())
        ).append_column("text_hash", pa.array(hashes, pa.string()))

    return make


@dataclass(frozen=True)
class Publisher:
    """Writes snapshots into a folder bucket as an instance would, and also as none should."""

    root: Path

    @property
    def bucket(self) -> Bucket:
        return open_bucket(f"file://{self.root}")

    def manifest(
        self, system_id: str, seq: int, records: Sequence[Record], **changes: object
    ) -> tuple[Manifest, bytes]:
        """A snapshot's manifest and its one data object."""
        buffer = io.BytesIO()
        pq.write_table(pa.Table.from_batches([to_batch(records)]), buffer, compression="zstd")
        data = buffer.getvalue()
        sha256 = sha256_hex(data)
        name = f"memories-{sha256[:16]}.parquet"
        file = DataFile(
            name=name, format="parquet", bytes=len(data), sha256=sha256, rows=len(records)
        )
        manifest = Manifest(
            system_id=system_id,
            seq=seq,
            machine="m",
            instance_id="i",
            created_at=datetime(2026, 1, 1, tzinfo=UTC),
            producer=Producer(name="test", version="0"),
            kind="delta",
            source=Source(type="test", fingerprint="f"),
            files=(file,),
            rows=len(records),
        )
        return manifest.model_copy(update=changes), data

    def publish(
        self, system_id: str, seq: int, records: Sequence[Record], **changes: object
    ) -> Manifest:
        """A committed snapshot with its head."""
        manifest, data = self.manifest(system_id, seq, records, **changes)
        bucket = self.bucket
        if manifest.files:
            bucket.put(layout.data_key(system_id, seq, manifest.files[0].name), data)
        self.commit(system_id, seq, manifest.to_bytes())
        return manifest

    def commit(self, system_id: str, seq: int, manifest: bytes) -> None:
        """Any bytes as a manifest, and a head that points there."""
        self.bucket.put(layout.manifest_key(system_id, seq), manifest)
        self.head(system_id, seq, manifest)

    def head(self, system_id: str, seq: int, manifest: bytes) -> None:
        head = Head(seq=seq, manifest_sha256=sha256_hex(manifest), machine="m")
        self.bucket.put(layout.head_key(system_id), head.to_bytes())

    def ack(self, system_id: str) -> Ack:
        data = self.bucket.get(layout.ack_key(system_id), max_bytes=1 << 20)
        return parse_ack(data, system_id=system_id)


@pytest.fixture
def publisher(tmp_path: Path) -> Publisher:
    root = tmp_path / "bucket"
    root.mkdir()
    return Publisher(root)


@dataclass
class TestHub:
    """A whole hub over a bucket, with the hashing embedder and a clock that stands still."""

    __test__ = False

    hub: Hub
    clock: list[datetime]

    async def poll(self) -> PollReport:
        return await self.hub.poll()

    async def once(self) -> PollReport:
        return await until_done(self.hub.poll, self.hub.finish, sleep=_no_sleep)

    def system(self, system_id: str) -> Json:
        systems = self.hub.core.operations.systems()["systems"]
        return next(system for system in systems if system["system_id"] == system_id)

    def verify(self) -> str:
        """The logical hash of a hub that agrees with itself."""
        answer = self.hub.core.operations.verify()
        assert answer["problems"] == []
        return str(answer["logical_hash"])

    def logical_hash(self) -> str:
        """That of a store that agrees with itself, whether or not the index has followed."""
        with self.hub.core.store.read() as connection:
            assert audit.problems(connection) == []
            return audit.logical_hash(connection)

    def texts(self, system_id: str) -> dict[str, str | None]:
        with self.hub.core.store.read() as connection:
            found = connection.execute(
                "SELECT memory_id, text FROM memories WHERE state = 'live' AND system_id = ?",
                [system_id],
            ).fetchall()
        return dict(found)

    def app(self, terms: Terms | None = None) -> FastAPI:
        """Its routes behind the gate; by default as on a loopback port."""
        hub = self.hub
        return make_app(
            hub.core.operations,
            lambda: {"ready": True, "degraded": False, "parts": {"index": "ok"}},
            hub.pushes,
            hub.jobs,
            hub.archive,
            forgetting=hub.forgetting,
            pull=hub.pull,
            memories=hub.memory_parts(),
            shared=hub.shared,
            subscribers=hub.subscribers,
            tokens=hub.core.tokens,
            terms=terms or Terms(),
        )

    def search(self, query: str, **filters: object) -> list[str]:
        answer = self.hub.core.operations.search(SearchRequest(query, **filters))  # type: ignore[arg-type]
        return [hit["memory_id"] for hit in answer["hits"]]


async def _no_sleep(_: float) -> None:
    return None


OpenHub = Callable[..., AbstractAsyncContextManager[TestHub]]


OWN_READERS = {
    "readers",
    "reader_memory_bytes",
    "reader_timeout_s",
    "max_snapshot_rows",
    "max_snapshot_bytes",
}


@pytest.fixture(scope="module")
async def readers(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Readers]:
    """The processes that read files, shared by the hubs of a module: each takes half a second."""
    folder = tmp_path_factory.mktemp("readers")
    opened = open_readers(HubSettings(bucket_url=folder.as_uri(), data_dir=folder, readers=1))
    yield opened
    await opened.close()


@pytest.fixture
def open_test_hub(
    tmp_path: Path, publisher: Publisher, readers: Readers, with_store: WithStore
) -> OpenHub:
    """Opens a hub in `folder`, over the folder bucket or over the bucket that is handed in.

    It has readers of its own where its settings say anything about them.
    """

    @asynccontextmanager
    async def opened(
        folder: str = "hub", bucket: AsyncBucket | None = None, **settings: object
    ) -> AsyncIterator[TestHub]:
        clock = [datetime(2026, 1, 2, tzinfo=UTC)]
        values: dict[str, object] = {
            "bucket_url": f"file://{publisher.root}",
            "data_dir": with_store(tmp_path / folder),
            "embedder": "hash",
            "readers": 1,
        }
        own = HubSettings(**(values | settings))  # type: ignore[arg-type]
        shared = None if OWN_READERS & settings.keys() else readers
        with open_core(own, now=lambda: clock[0]) as core:
            async with open_hub(core, bucket=bucket, readers=shared) as hub:
                yield TestHub(hub, clock)

    return opened


def parquet(records: Sequence[Record]) -> bytes:
    buffer = io.BytesIO()
    pq.write_table(pa.Table.from_batches([to_batch(records)]), buffer, compression="zstd")
    return buffer.getvalue()


def counts(records: Sequence[Record]) -> dict[str, int]:
    upserts = sum(record.op == "upsert" for record in records)
    return {"rows": len(records), "deletes": len(records) - upserts}


@dataclass(frozen=True)
class Pusher:
    """Pushes over HTTP as an instance would, a call at a time, and also as none should."""

    http: httpx.AsyncClient
    manifest: Manifest
    batches: Sequence[tuple[bytes, int]]

    @property
    def path(self) -> str:
        return f"/v1/push/{self.manifest.system_id}/{self.manifest.seq}"

    @property
    def sha256(self) -> str:
        return sha256_hex(self.manifest.to_bytes())

    async def open(self) -> httpx.Response:
        headers = {"content-type": "application/json"}
        return await self.http.put(self.path, content=self.manifest.to_bytes(), headers=headers)

    async def stage(self, number: int, **changes: str) -> httpx.Response:
        data, rows = self.batches[number - 1]
        headers = {
            "content-type": push.PARQUET,
            "x-content-sha256": sha256_hex(data),
            "x-manifest-sha256": self.sha256,
            "x-rows": str(rows),
        }
        headers |= {name.replace("_", "-"): value for name, value in changes.items()}
        return await self.http.put(f"{self.path}/batches/{number}", content=data, headers=headers)

    async def commit(self) -> httpx.Response:
        digests = [sha256_hex(data) for data, _ in self.batches]
        body = {"manifest_sha256": self.sha256, "batches": digests}
        return await self.http.post(f"{self.path}/commit", json=body)

    async def all(self) -> httpx.Response:
        """The whole push; the answer to its commit, or what refused it before."""
        opened = await self.open()
        if opened.is_error or opened.json()["state"] != "open":
            return opened
        for number in range(1, len(self.batches) + 1):
            staged = await self.stage(number)
            if staged.is_error:
                return staged
        return await self.commit()


@pytest.fixture
def pusher(publisher: Publisher) -> Callable[..., Pusher]:
    """A push of records to a hub, cut into batches of some size."""

    def make(
        hub: TestHub,
        system_id: str,
        seq: int,
        records: Sequence[Record],
        batch_rows: int = 2,
        **changes: object,
    ) -> Pusher:
        app = hub.app()
        guard = Guard(app, port=8682, allowances=(push.BATCHES,))
        transport = httpx.ASGITransport(guard, raise_app_exceptions=False)
        http = httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8682")
        told = [] if "files" in changes else records
        manifest, _ = publisher.manifest(system_id, seq, told, **counts(records) | changes)
        cut = [records[at : at + batch_rows] for at in range(0, len(records), batch_rows)]
        return Pusher(http, manifest, [(parquet(rows), len(rows)) for rows in cut])

    return make
