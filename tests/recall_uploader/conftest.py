"""Real sources, a real folder bucket, and an instance whose clock and sleep are injected."""

from __future__ import annotations

import io
import json
import shutil
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
import pyarrow.parquet as pq
import pytest

from recall_uploader.app import Instance
from recall_uploader.retry import Retry
from recall_uploader.settings import UploaderSettings
from recall_wire import layout
from recall_wire.buckets import open_bucket
from recall_wire.buckets.base import Bucket
from recall_wire.errors import BucketUnreachable
from recall_wire.manifest import Manifest, parse_head, parse_manifest

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
_COLUMNS = """
    id VARCHAR PRIMARY KEY, content VARCHAR NOT NULL, embedding FLOAT[384], category VARCHAR,
    subcategory VARCHAR, importance_score FLOAT DEFAULT 0.5, memory_tier VARCHAR,
    access_count INTEGER DEFAULT 0, last_accessed TIMESTAMP, project VARCHAR,
    namespace VARCHAR DEFAULT 'default', timestamp TIMESTAMP, session_id VARCHAR,
    user_id VARCHAR DEFAULT 'default', metadata VARCHAR
"""


Calls = list[str]


class MemoryDatabase:
    """A DuckDB file shaped like Session-Buddy's second generation."""

    def __init__(self, path: Path, *, made: bool = False) -> None:
        self.path = path
        if not made:
            self.execute(f"CREATE TABLE conversations_v2 ({_COLUMNS})")

    def execute(self, query: str, *parameters: object) -> None:
        connection = duckdb.connect(str(self.path))
        try:
            connection.execute(query, parameters)
        finally:
            connection.close()

    def add(self, first: int, last: int) -> None:
        """Memories `m<first>` … `m<last>`, one a minute."""
        self.execute(
            "INSERT INTO conversations_v2"
            " (id, content, category, project, importance_score, timestamp, session_id, metadata)"
            " SELECT format('m{:04d}', i), 'we decided on option ' || i, 'context', 'recall', 0.7,"
            " TIMESTAMP '2026-02-01' + to_minutes(i), 's1', '{\"n\": ' || i || '}'"
            " FROM range(?, ?) r(i)",
            first,
            last + 1,
        )

    def update(self, memory_id: str, text: str) -> None:
        self.execute("UPDATE conversations_v2 SET content = ? WHERE id = ?", text, memory_id)

    def read(self, memory_id: str) -> None:
        """What the owner does when a memory is looked at."""
        self.execute(
            "UPDATE conversations_v2 SET access_count = access_count + 1, last_accessed = now()"
            " WHERE id = ?",
            memory_id,
        )

    def delete(self, first: int, last: int) -> None:
        self.execute(
            "DELETE FROM conversations_v2 WHERE id BETWEEN format('m{:04d}', ?::INT)"
            " AND format('m{:04d}', ?::INT)",
            first,
            last,
        )


@dataclass
class FaultyBucket:
    """Counts the calls; the `fail_at`-th fails, before it is made or, `lost`, after it worked.

    Looking for an ack is not counted: whether that works changes nothing.
    """

    inner: Bucket
    fail_at: int = 0
    lost: bool = False
    error: BaseException = field(default_factory=lambda: BucketUnreachable("the line is cut"))
    calls: Calls = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def url(self) -> str:
        return self.inner.url

    def list(self, *arguments: Any, **options: Any) -> Iterator[Any]:
        yield from self._call("list", *arguments, **options)

    def __getattr__(self, name: str) -> Callable[..., Any]:
        if name in ("close",):
            return lambda: None
        return lambda *arguments, **options: self._call(name, *arguments, **options)

    def writes(self) -> Calls:
        return [c for c in self.calls if c.split()[0] not in ("list", "get", "head")]

    def _call(self, name: str, *arguments: Any, **options: Any) -> Any:
        if arguments and str(arguments[0]).startswith(layout.ACKS):
            return getattr(self.inner, name)(*arguments, **options)
        with self._lock:
            self.calls.append(f"{name} {arguments[0] if arguments else ''}")
            fails = len(self.calls) == self.fail_at
        if fails and not self.lost:
            raise self.error
        answer = getattr(self.inner, name)(*arguments, **options)
        if fails:
            raise self.error
        return answer


class BucketView:
    """What a reader of the bucket sees."""

    def __init__(self, bucket: Bucket) -> None:
        self.bucket = bucket

    def keys(self, prefix: str = "") -> list[str]:
        return [item.key for page in self.bucket.list(prefix) for item in page.objects]

    def manifests(self, system_id: str = "laptop") -> list[Manifest]:
        found = []
        for key in self.keys(layout.snapshots_prefix(system_id)):
            parsed = layout.parse_key(key)
            if isinstance(parsed, layout.SnapshotKey) and parsed.is_manifest:
                data = self.bucket.get(key, max_bytes=1 << 20)
                found.append(parse_manifest(data, system_id=system_id, seq=parsed.seq))
        return found

    def records(self, system_id: str = "laptop") -> list[dict[str, Any]]:
        """Every record of every snapshot, in their order."""
        rows: list[dict[str, Any]] = []
        for manifest in self.manifests(system_id):
            for file in manifest.files:
                key = layout.data_key(system_id, manifest.seq, file.name)
                data = self.bucket.get(key, max_bytes=1 << 30)
                rows += pq.read_table(io.BytesIO(data)).to_pylist()
        return rows

    def said(self, system_id: str = "laptop") -> list[tuple[str, str, str | None]]:
        return [(r["op"], r["memory_id"], r["text"]) for r in self.records(system_id)]

    def seqs(self, system_id: str = "laptop") -> list[int]:
        return [manifest.seq for manifest in self.manifests(system_id)]

    def head_seq(self, system_id: str = "laptop") -> int:
        data = self.bucket.get(layout.head_key(system_id), max_bytes=4096)
        return parse_head(data, system_id=system_id).seq

    def pending_uploads(self) -> int:
        return len(self.bucket.list_multipart("systems/"))


MakeInstance = Callable[..., Instance]


@pytest.fixture(scope="session")
def ten_memories(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = MemoryDatabase(tmp_path_factory.mktemp("ten") / "memories.duckdb")
    made.add(1, 10)
    return made.path


@pytest.fixture
def database(tmp_path: Path, ten_memories: Path) -> MemoryDatabase:
    """Ten memories, `m0001` to `m0010`."""
    path = tmp_path / "memories.duckdb"
    shutil.copyfile(ten_memories, path)
    return MemoryDatabase(path, made=True)


@pytest.fixture
def notes(tmp_path: Path) -> Path:
    """Ten notes as JSON Lines, `n0` to `n9`: opened sooner than a database."""
    path = tmp_path / "notes.jsonl"
    rows = ({"memory_id": f"n{n}", "text": f"note {n}", "importance": 0.7} for n in range(10))
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.fixture
def make_database() -> Callable[[Path], MemoryDatabase]:
    return MemoryDatabase


@pytest.fixture
def bucket(tmp_path: Path) -> Iterator[Bucket]:
    folder = tmp_path / "bucket"
    folder.mkdir(exist_ok=True)
    opened = open_bucket(folder.as_uri())
    yield opened
    opened.close()


@pytest.fixture
def view(bucket: Bucket) -> BucketView:
    return BucketView(bucket)


@pytest.fixture
def view_of() -> Callable[[Bucket], BucketView]:
    return BucketView


@pytest.fixture
def faulty(bucket: Bucket) -> Callable[..., FaultyBucket]:
    """The bucket, its calls counted, failing where it is told to."""
    return lambda **faults: FaultyBucket(bucket, **faults)


@pytest.fixture
def instance_of(tmp_path: Path, bucket: Bucket) -> MakeInstance:
    """An instance by the name of laptop on machine A, with no retries and no waiting."""

    def make(
        *,
        state: str = "state",
        machine: str = "machine-a",
        reached: Any = None,
        retries: int = 0,
        **settings: Any,
    ) -> Instance:
        known = {"system_id": "laptop", "state_dir": tmp_path / state, "lock_wait_s": 0}
        return Instance(
            settings=UploaderSettings(**{**known, **settings}),
            machine=machine,
            connect=lambda: reached if reached is not None else open_bucket(bucket.url),
            retry=Retry(retries=retries, sleep=lambda _: None),
            clock=lambda: NOW,
            sleep=lambda _: None,
        )

    return make


@pytest.fixture
def waiting(tmp_path: Path) -> Callable[..., list[str]]:
    """What lies in the outbox and is not delivered."""

    def look(state: str = "state") -> list[str]:
        outbox = tmp_path / state / "outbox"
        return sorted(
            str(path.relative_to(outbox))
            for name in ("new", "sending", "failed")
            for path in (outbox / name).iterdir()
        )

    return look
