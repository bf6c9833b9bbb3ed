"""Files that nobody vouches for: rows, or one sentence, and the hub goes on either way."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Coroutine
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from recall_daemon.errors import DiskFull
from recall_daemon.ingest import validate
from recall_daemon.ingest.validate import InputFile, Reader, ReadRequest, ReadResult
from recall_wire.errors import LimitExceeded, SettingsInvalid, SnapshotInvalid
from recall_wire.records import RECORD_SCHEMA, Record, text_hash, to_batch

Read = Callable[..., Coroutine[Any, Any, ReadResult]]


def _reader(**limits: Any) -> Reader:
    return Reader(
        **{
            "workers": 1,
            "memory_bytes": 2 << 30,
            "timeout_s": 60.0,
            "max_rows": 100_000,
            "max_bytes": 200 << 20,
            **limits,
        }
    )


@pytest.fixture
async def reader() -> AsyncIterator[Reader]:
    reader = _reader()
    yield reader
    await reader.close()


@pytest.fixture
def spool(tmp_path: Path) -> Path:
    """Where the output goes; nothing but it may be left there."""
    path = tmp_path / "spool"
    path.mkdir()
    return path


@pytest.fixture
def read(reader: Reader, spool: Path) -> Read:
    async def one(*files: Path, reader: Reader = reader, **request: Any) -> ReadResult:
        return await reader.read(_request(spool, *files, **request))

    return one


def _request(spool: Path, *files: Path, rows: int | None = None, **values: Any) -> ReadRequest:
    formats = {".duckdb": "duckdb", ".wal": "duckdb-wal", ".parquet": "parquet"}
    return ReadRequest(
        files=tuple(InputFile(path, formats[path.suffix], rows) for path in files),
        output=spool / "rows.arrow",
        **{"contract": False, "embedding_dim": None, "time_zone": "UTC", **values},
    )


def _rows(result: ReadResult) -> pa.Table:
    with pa.memory_map(str(result.path)) as source:
        return pa.ipc.open_file(source).read_all()


def _database(path: Path, *statements: str) -> Path:
    with duckdb.connect(str(path)) as connection:
        for statement in statements:
            connection.execute(statement)
    return path


def _contract(path: Path, records: list[Record]) -> Path:
    pq.write_table(pa.Table.from_batches([to_batch(records)], schema=RECORD_SCHEMA), path)
    return path


async def test_contract_files_in_their_order(read: Read, tmp_path: Path, spool: Path) -> None:
    early, late = datetime(2025, 1, 1, tzinfo=UTC), datetime(2026, 1, 1, tzinfo=UTC)
    first = _contract(
        tmp_path / "a.parquet",
        [Record("a", text="one", created_at=late), Record("b", text="", embedding=(1.0, 2.0))],
    )
    second = _contract(
        tmp_path / "b.parquet", [Record("a", op="delete"), Record("c", created_at=early)]
    )
    result = await read(first, second, contract=True, rows=2, embedding_dim=2)
    assert (result.rows, result.upserts, result.deletes) == (4, 3, 1)
    assert (result.min_time, result.max_time) == (early, late)
    table = _rows(result)
    assert table.schema.names == [*RECORD_SCHEMA.names, "row_no", "text_hash"]
    assert table["memory_id"].to_pylist() == ["a", "b", "a", "c"]
    assert table["row_no"].to_pylist() == [0, 1, 2, 3]
    assert table["text_hash"].to_pylist() == [text_hash("one"), None, None, None]
    assert table["embedding"].to_pylist() == [None, [1.0, 2.0], None, None]
    assert list(spool.iterdir()) == [result.path]


async def test_a_raw_database_and_its_log(read: Read, tmp_path: Path) -> None:
    import subprocess
    import sys

    code = (
        "import os, sys, duckdb; c = duckdb.connect(sys.argv[1]); "
        "c.execute(\"CREATE TABLE reflections AS SELECT 1 AS id, 'in the log' AS content\"); "
        "os.kill(os.getpid(), 9)"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "live")], check=False)
    # As objects are named: by their own content, not after each other.
    main = (tmp_path / "live").rename(tmp_path / "0000-1234.duckdb")
    log = (tmp_path / "live.wal").rename(tmp_path / "0001-5678.wal")
    result = await read(log, main)
    assert _rows(result)["text"].to_pylist() == ["in the log"]
    with pytest.raises(SnapshotInvalid, match=r"0000-1234\.duckdb has none of the tables"):
        await read(main)


async def test_a_bare_parquet_file(read: Read, tmp_path: Path) -> None:
    path = tmp_path / "bare.parquet"
    pq.write_table(pa.table({"id": ["x", "x", None], "content": ["1", "2", "3"]}), path)
    result = await read(path)
    assert _rows(result)["text"].to_pylist() == ["2"]
    assert result.warnings == (
        "1 row had an id that a later row has too; the last one counts",
        "1 row had no id and were left out",
    )


@pytest.mark.parametrize(
    "text", [None, "", "x" * 5_000_000, "\0" * 1000, "\ufffd", "a\nb\r\n\x7f 𝄞"]
)
async def test_texts_byte_for_byte(read: Read, tmp_path: Path, text: str | None) -> None:
    path = _contract(tmp_path / "a.parquet", [Record("a", text=text)])
    result = await read(path, contract=True, rows=1)
    assert _rows(result)["text"].to_pylist() == [text]


async def test_batches_are_bounded(read: Read, tmp_path: Path) -> None:
    records = [Record(str(n), text=f"{n}" * 10_000) for n in range(1500)]
    result = await read(_contract(tmp_path / "a.parquet", records), contract=True, rows=1500)
    with pa.memory_map(str(result.path)) as source:
        file = pa.ipc.open_file(source)
        batches = [file.get_batch(number) for number in range(file.num_record_batches)]
    assert max(batch.num_rows for batch in batches) <= 1000
    assert max(batch.nbytes for batch in batches) <= 9 << 20
    assert [row for batch in batches for row in batch["row_no"].to_pylist()] == list(range(1500))


@pytest.mark.parametrize(
    ("columns", "rows", "reason"),
    [
        ({"memory_id": ["a"]}, 2, "has 1 rows, the manifest says 2"),
        ({"text": ["a"]}, 1, "no column memory_id"),
        ({"memory_id": ["a"], "tags": [1]}, 1, "column tags is int64"),
        ({"memory_id": ["a"], "embedding": [[1.0]]}, 1, "an embedding has 1 numbers"),
        ({"memory_id": ["a"], "embedding": [[1.0, float("nan")]]}, 1, "NaN or infinite"),
        ({"memory_id": ["a"], "text": pa.array([b"\xff"]).view(pa.string())}, 1, "UTF-8"),
    ],
)
async def test_a_file_that_breaks_the_contract(
    read: Read, spool: Path, columns: dict[str, Any], rows: int, reason: str
) -> None:
    path = spool.with_name("bad.parquet")
    pq.write_table(pa.table(columns), path)
    with pytest.raises(SnapshotInvalid, match=reason) as caught:
        await read(path, contract=True, rows=rows, embedding_dim=2)
    assert "\n" not in str(caught.value)
    assert list(spool.iterdir()) == []


async def test_vectors_of_no_declared_space_are_ignored(read: Read, tmp_path: Path) -> None:
    columns = {"memory_id": ["a"], "embedding": [[float("nan")]]}
    pq.write_table(pa.table(columns), tmp_path / "a.parquet")
    result = await read(tmp_path / "a.parquet", contract=True, rows=1)
    assert _rows(result)["embedding"].null_count == 1


@pytest.mark.parametrize("name", ["x.duckdb", "x.parquet"])
@pytest.mark.parametrize("data", [b"", b"hello world" * 1000, b'{"memory_id": "a"}\n'])
async def test_files_that_are_something_else(
    read: Read, tmp_path: Path, name: str, data: bytes
) -> None:
    path = tmp_path / name
    path.write_bytes(data)
    with pytest.raises(SnapshotInvalid, match=r"x\.\w+ is (not )?a "):
        await read(path, contract=name == "x.parquet", rows=1)
    with pytest.raises(SnapshotInvalid, match=r"x\.\w+ is not a (DuckDB database|Parquet file)"):
        await read(path)


@pytest.mark.parametrize("part", [0.1, 0.5, 0.95])
async def test_truncated_files(read: Read, tmp_path: Path, part: float) -> None:
    database = _database(
        tmp_path / "t.duckdb",
        "CREATE TABLE conversations AS SELECT i AS id, md5(i::VARCHAR) AS content "
        "FROM range(50000) t(i)",
    )
    parquet = _contract(tmp_path / "t.parquet", [Record(str(n)) for n in range(1000)])
    for path in (database, parquet):
        path.write_bytes(path.read_bytes()[: int(path.stat().st_size * part)])
        with pytest.raises(SnapshotInvalid, match=r"truncated|damaged"):
            await read(path, contract=path is parquet, rows=1000)


async def test_a_database_made_to_harm(read: Read, tmp_path: Path) -> None:
    path = _database(
        tmp_path / "evil.duckdb",
        "CREATE MACRO encode(x) AS 'pwned'::BLOB",
        "CREATE VIEW reflections AS SELECT 'v' AS id, content FROM read_text('/etc/passwd')",
        "CREATE TABLE conversations (id INT, summary VARCHAR, "
        "content VARCHAR GENERATED ALWAYS AS (repeat('x', 1000000)))",
        "INSERT INTO conversations (id, summary) VALUES (1, 'mine')",
    )
    result = await read(path)
    assert _rows(result)["text"].to_pylist() == ["mine"]
    assert result.warnings == ("main.reflections (view) was not read",)


async def test_a_parquet_bomb(read: Read, tmp_path: Path, spool: Path) -> None:
    value = pa.array(["x" * 1_000_000])
    text = pa.DictionaryArray.from_arrays(pa.array([0] * 50_000, pa.int32()), value)
    path = tmp_path / "bomb.parquet"
    table = pa.table({"memory_id": [str(n) for n in range(50_000)], "text": text})
    pq.write_table(table, path)
    plain = tmp_path / "plain.parquet"
    pq.write_table(table, plain, store_schema=False)
    assert path.stat().st_size < 1 << 20
    for bomb in (path, plain):
        for contract in (True, False):
            with pytest.raises(LimitExceeded):
                await read(bomb, contract=contract, rows=50_000)
    assert list(spool.iterdir()) == []


async def test_a_billion_rows_in_a_few_kilobytes(read: Read, tmp_path: Path) -> None:
    one = pa.array(["m"])
    path = tmp_path / "rle.parquet"
    ids = pa.DictionaryArray.from_arrays(pa.array([0] * 10_000_000, pa.int8()), one)
    pq.write_table(pa.table({"memory_id": ids}), path, compression="zstd")
    assert path.stat().st_size < 100_000
    for contract in (True, False):
        with pytest.raises(LimitExceeded, match="rows"):
            await read(path, contract=contract, rows=10_000_000)


async def test_a_database_bomb(read: Read, tmp_path: Path) -> None:
    path = _database(
        tmp_path / "bomb.duckdb",
        "CREATE TABLE conversations AS SELECT i AS id, repeat('x', 20000) AS content "
        "FROM range(30000) t(i)",
    )
    with pytest.raises(LimitExceeded):
        await read(path)


async def test_more_rows_than_allowed(spool: Path, tmp_path: Path) -> None:
    reader = _reader(max_rows=10)
    path = _contract(tmp_path / "a.parquet", [Record(str(n)) for n in range(11)])
    for contract in (True, False):
        with pytest.raises(LimitExceeded, match="rows"):
            await reader.read(_request(spool, path, contract=contract, rows=11))
    await reader.close()


async def test_a_child_that_hits_its_memory_limit(spool: Path, tmp_path: Path) -> None:
    reader = _reader(memory_bytes=600 << 20, max_bytes=4 << 30)
    path = _database(
        tmp_path / "fat.duckdb",
        "CREATE TABLE conversations AS SELECT i AS id, "
        "repeat(md5(i::VARCHAR), 10000) AS content FROM range(1500) t(i)",
    )
    with pytest.raises(LimitExceeded, match="MiB"):
        await reader.read(_request(spool, path))
    small = _contract(tmp_path / "a.parquet", [Record("a")])
    assert (await reader.read(_request(spool, small, contract=True))).rows == 1
    await reader.close()


async def test_a_time_zone_nobody_knows(read: Read, tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"id": ["a"]}), path)
    with pytest.raises(SettingsInvalid, match="Mars/Olympus"):
        await read(path, time_zone="Mars/Olympus")


async def test_files_that_are_no_one_source(read: Read, tmp_path: Path) -> None:
    one = _database(tmp_path / "1.duckdb", "CREATE TABLE conversations (id INT)")
    two = _database(tmp_path / "2.duckdb", "CREATE TABLE conversations (id INT)")
    with pytest.raises(SnapshotInvalid, match="duckdb, duckdb is not one source"):
        await read(one, two)


_MISBEHAVE = {
    "crash": "import os, sys; sys.stdin.readline(); os.kill(os.getpid(), 11)",
    "exit": "import sys; sys.stdin.readline(); sys.exit(3)",
    "dead": "import sys; sys.exit(0)",
    "garbage": "import sys; sys.stdin.readline(); print('<html>', flush=True); sys.stdin.read()",
    "lie": 'import sys; sys.stdin.readline(); print(\'{"rows": "many"}\', flush=True)',
    "flood": "import sys; sys.stdin.readline(); print('x' * 5000000, flush=True)",
    "half": "import sys; sys.stdin.readline(); print('{\"rows\"', end='', flush=True)",
    "hang": "import sys; sys.stdin.readline(); sys.stdin.read()",
}


@pytest.mark.parametrize("how", sorted(_MISBEHAVE))
async def test_a_child_that_misbehaves_hurts_one_read_only(
    how: str, tmp_path: Path, spool: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "bad"
    package.mkdir()
    (package / "bad_child.py").write_text(_MISBEHAVE[how])
    request = _request(spool, _contract(tmp_path / "a.parquet", [Record("a")]), contract=True)
    reader = _reader(timeout_s=1.0 if how == "hang" else 60.0)
    with monkeypatch.context() as patch:
        patch.setattr(validate, "_MODULE", "bad_child")
        environment = {**validate._environment(), "PYTHONPATH": str(package)}
        patch.setattr(validate, "_environment", lambda: environment)
        expected = SnapshotInvalid if how in ("garbage", "lie", "flood") else LimitExceeded
        with pytest.raises(expected, match=r"nonsense|died|longer than 1 s") as caught:
            await reader.read(request)
        assert type(caught.value) is expected
    assert list(spool.iterdir()) == []
    reader._timeout_s = 60.0
    assert (await reader.read(request)).rows == 1
    await reader.close()


async def test_children_are_kept_warm_and_replaced(
    read: Read, reader: Reader, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = _contract(tmp_path / "a.parquet", [Record("a")])
    await read(path, contract=True)
    [child] = reader._idle
    await read(path, contract=True)
    assert reader._idle == [child]
    os.kill(child._process.pid, 9)
    await child._process.wait()
    assert (await read(path, contract=True)).rows == 1
    assert reader._idle != [child]
    monkeypatch.setattr(validate, "_READS_PER_CHILD", 2)
    await read(path, contract=True)
    assert reader._idle == []


async def test_a_cancelled_read_ends_its_child(tmp_path: Path, spool: Path) -> None:
    reader = _reader()
    path = _database(
        tmp_path / "large.duckdb",
        "CREATE TABLE conversations AS SELECT i AS id, repeat(md5(i::VARCHAR), 20) AS content "
        "FROM range(90000) t(i)",
    )
    small = _contract(tmp_path / "a.parquet", [Record("a")])
    await reader.read(_request(spool, small, contract=True))
    [child] = reader._idle
    task = asyncio.create_task(reader.read(_request(spool, path)))
    while child.reads != 2:
        await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert child._process.returncode == -9
    assert (await reader.read(_request(spool, small, contract=True))).rows == 1
    await reader.close()


async def test_no_more_children_than_workers(tmp_path: Path, spool: Path) -> None:
    reader = _reader(workers=2)
    path = _contract(tmp_path / "a.parquet", [Record("a")])
    requests = []
    for number in range(6):
        (spool / str(number)).mkdir()
        requests.append(_request(spool / str(number), path, contract=True))
    results = await asyncio.gather(*map(reader.read, requests))
    assert [result.rows for result in results] == [1] * 6
    assert len(reader._idle) == 2
    await reader.close()
    await reader.close()


async def test_a_spool_that_is_not_there(reader: Reader, tmp_path: Path) -> None:
    path = _contract(tmp_path / "a.parquet", [Record("a")])
    with pytest.raises(DiskFull, match="no folder can be made"):
        await reader.read(_request(tmp_path / "absent", path, contract=True))
