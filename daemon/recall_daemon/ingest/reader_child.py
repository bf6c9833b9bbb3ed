"""The child process that reads files nobody vouches for: one JSON request a line, one answer each.

Run by `validate` as `python -P -m recall_daemon.ingest.reader_child MEMORY FILE_BYTES`. Linux holds
it to its address space; macOS knows that limit but does not enforce it, so there only the row, byte
and time limits hold. What it imports is most of what a small file costs: DuckDB and pydantic are
loaded only for a source that needs them.
"""

from __future__ import annotations

import errno
import json
import os
import resource
import shutil
import sys
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, TypedDict

import pyarrow as pa
import pyarrow.compute as pc

from recall_wire.errors import (
    LimitExceeded,
    RecallError,
    SettingsInvalid,
    SnapshotInvalid,
    TransientError,
)
from recall_wire.formats import ReadOptions, open_source
from recall_wire.formats.contract import Budget, read_contract
from recall_wire.formats.signatures import SIGNATURE_BYTES, is_duckdb, is_parquet
from recall_wire.records import RECORD_SCHEMA, Record, text_hash, to_batch

if TYPE_CHECKING:
    from recall_wire.manifest import EmbeddingSpace

OUTPUT_SCHEMA = RECORD_SCHEMA.append(pa.field("row_no", pa.int64())).append(
    pa.field("text_hash", pa.string())
)
BATCH_ROWS = 1_000
BATCH_BYTES = 8 << 20
_WARNINGS_MAX = 20
_KINDS = {"duckdb": (is_duckdb, "DuckDB database"), "parquet": (is_parquet, "Parquet file")}
_WORDS_MAX = 500


class File(TypedDict):
    path: str
    format: str
    rows: int | None


class Request(TypedDict):
    """What `validate` sends. `scratch` is an empty folder that it removes afterwards."""

    files: list[File]
    contract: bool
    embedding_dim: int | None
    time_zone: str
    output: str
    scratch: str
    max_rows: int
    max_bytes: int


def main() -> None:
    memory_bytes, file_bytes = (int(word) for word in sys.argv[1:3])
    answers = _own_stdout()
    _limit(memory_bytes, file_bytes)
    pa.set_cpu_count(1)
    pa.set_io_thread_count(1)
    for line in sys.stdin.buffer:
        answer = _answer(json.loads(line), memory_bytes)
        answers.write(json.dumps(answer).encode() + b"\n")
        answers.flush()


def _own_stdout() -> BinaryIO:
    """The pipe to the parent, out of reach of a library that prints."""
    pipe = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    return pipe


def _limit(memory_bytes: int, file_bytes: int) -> None:
    limits = {
        resource.RLIMIT_AS: memory_bytes,
        resource.RLIMIT_CORE: 0,
        resource.RLIMIT_FSIZE: file_bytes,
    }
    for limit, value in limits.items():
        try:
            resource.setrlimit(limit, (value, value))
        except ValueError:
            # macOS refuses an address space limit below what the process has mapped already.
            if sys.platform != "darwin":
                raise


def _answer(request: Request, memory_bytes: int) -> dict[str, Any]:
    try:
        return _read(request, memory_bytes)
    except MemoryError:
        return _refusal(LimitExceeded(f"reading it takes more than {memory_bytes >> 20} MiB"))
    except RecallError as error:
        return _refusal(error)
    except OSError as error:
        return _refusal(_os_error(error, request))
    except Exception as error:  # anything at all may come of a hostile file; the child ends here
        words = f"it cannot be read: {type(error).__name__}: {error}"
        return _refusal(SnapshotInvalid(words))


def _os_error(error: OSError, request: Request) -> RecallError:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return TransientError(f"no space left in {Path(request['output']).parent} to read into")
    if error.errno == errno.EFBIG:
        return LimitExceeded("it unpacks to more bytes than a snapshot may have")
    return SnapshotInvalid(f"it cannot be read: {error.strerror or error}")


def _refusal(error: RecallError) -> dict[str, Any]:
    kinds = {LimitExceeded: "limit", SettingsInvalid: "settings", TransientError: "disk"}
    kind = kinds.get(type(error), "invalid")
    return {"error": kind, "message": error.message[:_WORDS_MAX], "hint": error.hint[:_WORDS_MAX]}


def _read(request: Request, memory_bytes: int) -> dict[str, Any]:
    warnings: list[str] = []
    batches = (
        _contract_batches(request)
        if request["contract"] and all(file["format"] == "parquet" for file in request["files"])
        else _source_batches(request, memory_bytes // 2, warnings)
    )
    output = Path(request["output"])
    # An orphan of a killed daemon may still be writing here: each writes a file of its own.
    partial = output.with_name(f"{output.name}.{os.getpid()}.partial")
    try:
        with partial.open("wb") as sink:
            summary = _write(batches, sink)
        partial.replace(output)
    finally:
        partial.unlink(missing_ok=True)
    return {**summary, "warnings": [words[:_WORDS_MAX] for words in warnings[:_WARNINGS_MAX]]}


def _contract_batches(request: Request) -> Iterator[pa.RecordBatch]:
    budget = Budget(request["max_rows"], request["max_bytes"])
    for file in request["files"]:
        yield from read_contract(
            Path(file["path"]),
            rows=file["rows"],
            embedding_dim=request["embedding_dim"],
            budget=budget,
        )


def _source_batches(
    request: Request, memory_max_bytes: int, warnings: list[str]
) -> Iterator[pa.RecordBatch]:
    budget = Budget(request["max_rows"], request["max_bytes"])
    scratch = Path(request["scratch"])
    options = ReadOptions(
        time_zone=request["time_zone"],
        embedding=_space(request["embedding_dim"]),
        scratch_dir=scratch,
        memory_max_bytes=memory_max_bytes,
        max_rows=request["max_rows"],
    )
    with open_source(_side_by_side(request["files"], scratch), options) as source:
        for batch in _batches(source.records()):
            budget.spend(batch.num_rows, batch.nbytes)
            yield batch
        warnings.extend(source.warnings)


def _space(dim: int | None) -> EmbeddingSpace | None:
    # Only the length matters to a reader; whose space it is, the manifest says.
    if dim is None:
        return None
    from recall_wire.manifest import EmbeddingSpace

    return EmbeddingSpace(model="declared", revision="", dim=dim, normalized=False)


def _side_by_side(files: list[File], scratch: Path) -> Path:
    """One source as its reader wants it: a database's log beside it, named after it."""
    formats = sorted(file["format"] for file in files)
    if formats not in (["parquet"], ["duckdb"], ["duckdb", "duckdb-wal"]):
        raise SnapshotInvalid(f"{', '.join(formats) or 'no file'} is not one source")
    by_format = {file["format"]: Path(file["path"]) for file in files}
    main = by_format[formats[0]]
    _check_magic(main, formats[0])
    _place(main, scratch / main.name)
    if log := by_format.get("duckdb-wal"):
        _place(log, scratch / f"{main.name}.wal")
    return scratch / main.name


def _check_magic(path: Path, kind: str) -> None:
    is_kind, name = _KINDS[kind]
    with path.open("rb") as file:
        start = file.read(SIGNATURE_BYTES)
    if not is_kind(start):
        raise SnapshotInvalid(f"{path.name} is not a {name}")


def _place(path: Path, target: Path) -> None:
    try:
        os.link(path.resolve(), target)
    except OSError:  # another file system, or one without hard links
        shutil.copyfile(path, target)


def _batches(records: Iterator[Record]) -> Iterator[pa.RecordBatch]:
    gathered: list[Record] = []
    size = 0
    for record in records:
        gathered.append(record)
        size += len(record.text or "") + len(record.metadata)
        if len(gathered) >= BATCH_ROWS or size >= BATCH_BYTES:
            yield to_batch(gathered)
            gathered, size = [], 0
    if gathered:
        yield to_batch(gathered)


def _write(batches: Iterator[pa.RecordBatch], sink: BinaryIO) -> dict[str, Any]:
    parent = os.getppid()
    rows = upserts = 0
    times: list[datetime] = []
    with pa.ipc.new_file(sink, OUTPUT_SCHEMA) as writer:
        for batch in batches:
            if os.getppid() != parent:
                sys.exit("the daemon is gone")
            for part in _parts(batch):
                writer.write_batch(_numbered(part, rows))
                rows += part.num_rows
            upserts += pc.sum(pc.equal(batch.column("op"), "upsert")).as_py() or 0
            bounds = pc.min_max(batch.column("created_at")).as_py()
            times += [time for time in bounds.values() if time is not None]
            times = [min(times), max(times)] if times else []
    return {
        "rows": rows,
        "upserts": upserts,
        "min_time": min(times).isoformat() if times else None,
        "max_time": max(times).isoformat() if times else None,
    }


def _parts(batch: pa.RecordBatch) -> Iterator[pa.RecordBatch]:
    """Halves, until one fits the bounds: whoever maps the file takes a batch at a time."""
    if batch.num_rows > 1 and (batch.num_rows > BATCH_ROWS or batch.nbytes > BATCH_BYTES):
        middle = batch.num_rows // 2
        yield from _parts(batch.slice(0, middle))
        yield from _parts(batch.slice(middle))
    elif batch.num_rows:
        yield batch


def _numbered(batch: pa.RecordBatch, first: int) -> pa.RecordBatch:
    numbers = pa.array(range(first, first + batch.num_rows), pa.int64())
    hashes = pa.array([text_hash(text.as_py()) for text in batch.column("text")], pa.string())
    return pa.RecordBatch.from_arrays([*batch.columns, numbers, hashes], schema=OUTPUT_SCHEMA)


if __name__ == "__main__":
    main()
