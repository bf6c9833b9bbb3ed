"""Files that nobody vouches for, read by children with limits: rows come back, or one sentence."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import sys
import tempfile
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from recall_daemon.errors import DiskFull
from recall_wire.errors import LimitExceeded, RecallError, SettingsInvalid, SnapshotInvalid
from recall_wire.manifest import SNAPSHOT_MAX_ROWS

_ANSWER_MAX_BYTES = 1 << 20
_READS_PER_CHILD = 200  # allocators keep what a large read took
_SPARE_FILE_BYTES = 1 << 30  # what DuckDB may spill beside the output
_MODULE = "recall_daemon.ingest.reader_child"


@dataclass(frozen=True)
class InputFile:
    """`format` parquet, duckdb or duckdb-wal; `rows` as the manifest says, None where it cannot."""

    path: Path
    format: str
    rows: int | None = None


@dataclass(frozen=True)
class ReadRequest:
    """One snapshot. `contract`: its files are Parquet in the record schema, as a manifest says.

    `whole`: its rows are those of a database that came whole, so that only the reader's own limit
    counts, not a snapshot's. `embedding_dim` None leaves vectors out. `output` is written whole or
    not at all.
    """

    files: tuple[InputFile, ...]
    contract: bool
    embedding_dim: int | None
    time_zone: str
    output: Path
    whole: bool = False


@dataclass(frozen=True)
class ReadResult:
    """`path` is an Arrow IPC file: RECORD_SCHEMA, `row_no` (int64, from 0) and `text_hash`."""

    path: Path
    rows: int
    upserts: int
    deletes: int
    warnings: tuple[str, ...] = ()
    min_time: datetime | None = None
    max_time: datetime | None = None


class _Answer(BaseModel):
    model_config = ConfigDict(extra="forbid")

    rows: int = 0
    upserts: int = 0
    warnings: tuple[str, ...] = ()
    min_time: datetime | None = None
    max_time: datetime | None = None
    error: Literal["invalid", "limit", "settings", "disk"] | None = None
    message: str = ""
    hint: str = ""


class Reader:
    """At most `workers` warm children; one that failed in any way is replaced.

    Whatever a file does to its child (crash, bloat, hang, print garbage), the hub goes on.
    """

    def __init__(
        self,
        *,
        workers: int,
        memory_bytes: int,
        timeout_s: float,
        max_rows: int,
        max_bytes: int,
    ) -> None:
        self._slots = asyncio.Semaphore(workers)
        self._idle: list[_Child] = []
        self.memory_bytes = memory_bytes
        self.timeout_s = timeout_s
        self.max_rows = max_rows
        self.max_bytes = max_bytes

    async def read(self, request: ReadRequest) -> ReadResult:
        """Read a snapshot's files into `request.output`.

        Raises `SnapshotInvalid` for files that cannot be read, `LimitExceeded` (one of those) for
        what takes too much memory, time, rows or bytes, `DiskFull`. Cancelling ends the child.
        """
        async with self._slots:
            scratch = _scratch(request.output.parent)
            child = await self._child()
            try:
                async with asyncio.timeout(self.timeout_s):
                    answer = await child.ask(self._message(request, scratch))
                result = _result(answer, request.output)
            except TimeoutError as error:
                await child.kill()
                raise LimitExceeded(f"reading it took longer than {self.timeout_s:g} s") from error
            except BaseException:
                await child.kill()
                raise
            finally:
                shutil.rmtree(scratch, ignore_errors=True)
            await self._put_back(child)
            return result

    async def close(self) -> None:
        """End the idle children. Idempotent; reads under way are cancelled by their owner."""
        while self._idle:
            await self._idle.pop().kill()

    async def _child(self) -> _Child:
        while self._idle:
            child = self._idle.pop()
            if child.is_alive:
                return child
        return await self._spawn()

    async def _spawn(self) -> _Child:
        limits = (self.memory_bytes, 2 * self.max_bytes + _SPARE_FILE_BYTES)
        return _Child(
            await asyncio.create_subprocess_exec(
                *(sys.executable, "-P", "-m", _MODULE, *map(str, limits)),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.DEVNULL,
                env=_environment(),
                limit=_ANSWER_MAX_BYTES,
                start_new_session=True,  # Ctrl-C is the daemon's to handle
            )
        )

    async def _put_back(self, child: _Child) -> None:
        if child.reads < _READS_PER_CHILD:
            self._idle.append(child)
        else:
            await child.kill()

    def _message(self, request: ReadRequest, scratch: Path) -> bytes:
        values = {
            **asdict(request),
            "scratch": scratch,
            "max_rows": self.max_rows if request.whole else min(self.max_rows, SNAPSHOT_MAX_ROWS),
            "max_bytes": self.max_bytes,
        }
        return json.dumps(values, default=os.fspath).encode() + b"\n"


class _Child:
    """One reader process, asked one thing at a time."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self.reads = 0

    @property
    def is_alive(self) -> bool:
        return self._process.returncode is None

    async def ask(self, message: bytes) -> _Answer:
        """Raises `LimitExceeded` where the child dies, `SnapshotInvalid` for a senseless answer."""
        stdin, stdout = self._process.stdin, self._process.stdout
        if stdin is None or stdout is None:
            raise SnapshotInvalid("its reader has no pipes")
        self.reads += 1
        try:
            stdin.write(message)
            await stdin.drain()
            line = await stdout.readline()
        except ConnectionError:
            line = b""
        except ValueError as error:  # longer than any answer is
            raise SnapshotInvalid("its reader answered nonsense") from error
        if not line.endswith(b"\n"):
            raise await self._death()
        try:
            return _Answer.model_validate_json(line)
        except ValidationError as error:
            raise SnapshotInvalid("its reader answered nonsense") from error

    async def kill(self) -> None:
        """End the process and wait for its end, even where the caller is being cancelled."""
        if self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()
        await asyncio.shield(self._process.wait())

    async def _death(self) -> SnapshotInvalid:
        await self.kill()
        code = self._process.returncode or 0
        how = f"signal {-code}" if code < 0 else f"status {code}"
        return LimitExceeded(
            f"its reader died ({how}): the file crashes it or takes too much memory"
        )


def _scratch(folder: Path) -> Path:
    try:
        return Path(tempfile.mkdtemp(prefix="read-", dir=folder))
    except OSError as error:
        raise DiskFull(f"no folder can be made in {folder}: {error.strerror or error}") from error


def _result(answer: _Answer, output: Path) -> ReadResult:
    if answer.error:
        raise _error(answer)
    return ReadResult(
        path=output,
        rows=answer.rows,
        upserts=answer.upserts,
        deletes=answer.rows - answer.upserts,
        warnings=answer.warnings,
        min_time=answer.min_time,
        max_time=answer.max_time,
    )


def _error(answer: _Answer) -> RecallError:
    kinds: dict[str | None, type[RecallError]] = {
        "limit": LimitExceeded,
        "settings": SettingsInvalid,
        "disk": DiskFull,
    }
    return kinds.get(answer.error, SnapshotInvalid)(answer.message, hint=answer.hint)


def _environment() -> dict[str, str]:
    """Nothing of the daemon's: no credentials, no proxy, no settings."""
    return {
        # Arrow's own allocator reserves a gigabyte of address space at its first use.
        "ARROW_DEFAULT_MEMORY_POOL": "system",
        "MALLOC_ARENA_MAX": "2",
        "OMP_NUM_THREADS": "1",
        "LC_ALL": "C.UTF-8",
        "TZ": "UTC",
    }
