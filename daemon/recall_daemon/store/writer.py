"""The one writer: a thread of its own that commits works in groups, and checkpoints between them.

DuckDB would checkpoint inside the COMMIT that finds its log long enough, and whoever commits would
wait. Here the log (`store.duckdb.wal`) is brought into the file in a moment when nobody writes.
Readers go on meanwhile; writers wait, so beyond a bound the writer makes such a moment itself.
"""

from __future__ import annotations

import shutil
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import Any, TypeVar

import duckdb
import structlog

from recall_daemon.errors import DiskFull, StoreFailed
from recall_daemon.store.aside import log_of
from recall_daemon.store.failures import was_not_checkpointed
from recall_wire.errors import RecallError

log = structlog.get_logger(__name__)

_Result = TypeVar("_Result")
_Work = Callable[[duckdb.DuckDBPyConnection], Any]
_Job = tuple[_Work, "Future[Any]", bool]

# A commit costs about a millisecond, most of it the disk's. Works share one until they have run
# for longer than that is worth: then none waits for another's 50,000 rows.
GROUP_WORKS = 256
GROUP_S = 0.05

# A checkpoint of 1,000,000 rows takes about two seconds, however short the log: so not often. The
# log is replayed at the next start after a kill, so it may not grow for ever either.
CHECKPOINT_BYTES = 64 << 20
MAX_LOG_BYTES = 256 << 20
IDLE_S = 0.05
CHECKPOINT_ROOM_BYTES = 256 << 20

# DuckDB refuses to checkpoint while a reader still sees what was before an update. At the bound the
# writer waits for such readers; for one that takes longer (a backup) the log grows by another step.
PATIENCE_S = 10.0
RETRY_S = 0.01


def _nobody() -> None:
    """Nobody wants to know."""


class Writer:
    """Runs works in the order they come, on a connection that nobody else uses.

    `path` is the store's file; `translated` makes the errors of DuckDB the store's; `reopen`
    attaches the file anew.
    """

    def __init__(
        self,
        connection: duckdb.DuckDBPyConnection,
        path: Path,
        translated: Callable[[duckdb.Error], RecallError],
        *,
        reopen: Callable[[duckdb.DuckDBPyConnection], None],
    ) -> None:
        self._connection = connection
        self._path = path
        self._log_path = log_of(path)
        self._translated = translated
        self._reopen = reopen
        self._wake = threading.Condition()
        self._queue: deque[_Job] = deque()
        self._closing = False
        self.is_outside = False
        self._due_bytes, self._wait_bytes = CHECKPOINT_BYTES, MAX_LOG_BYTES
        # Told of each commit, on the writer's thread: to be quick, and to raise nothing.
        self.on_commit: Callable[[], None] = _nobody
        self.commits = 0
        self._thread = threading.Thread(target=self._run, name="store-writer", daemon=True)
        self._thread.start()

    def run(
        self, work: Callable[[duckdb.DuckDBPyConnection], _Result], *, outside: bool = False
    ) -> _Result:
        """Commit `work` and return what it returned; raises what it raised.

        A caller that is interrupted while it waits takes its work back if it has not begun.
        `outside`: between two transactions, not in one.
        """
        if threading.current_thread() is self._thread:
            raise RuntimeError("a work of the store's writer cannot write through the store")
        future = self.submit(work, outside=outside)
        try:
            return future.result()
        finally:
            future.cancel()

    def submit(
        self, work: Callable[[duckdb.DuckDBPyConnection], _Result], *, outside: bool = False
    ) -> Future[_Result]:
        """Queue `work`, also from what is called when another one is done.

        Raises `StoreFailed` once this is closing.
        """
        future: Future[_Result] = Future()
        with self._wake:
            if self._closing:
                raise StoreFailed(f"{self._path} is closed")
            self._queue.append((work, future, outside))
            self._wake.notify()
        return future

    def close(self) -> None:
        """Commit what waits, checkpoint, end. Idempotent; later works raise `StoreFailed`."""
        with self._wake:
            self._closing = True
            self._wake.notify()
        self._thread.join()

    def _run(self) -> None:
        while self._step():
            pass
        self._checkpoint()
        self._connection.close()

    def _step(self) -> bool:
        """One group, or one idle moment; False when everything is done."""
        is_due = self._log_bytes() >= self._due_bytes
        with self._wake:
            has_work = self._wake.wait_for(
                lambda: self._queue or self._closing, IDLE_S if is_due else None
            )
        if self._queue and self._queue[0][2]:
            self._run_outside()
        elif self._queue:
            self._commit_group()
            self._bound_log()
        elif has_work:
            return False
        else:
            self._checkpoint()
        return True

    def _commit_group(self) -> None:
        """One transaction for several works; when one fails, each has one of its own."""
        group: list[_Job] = []
        results = []
        ends = time.monotonic() + GROUP_S
        try:
            self._connection.execute("BEGIN")
            while job := self._next():
                group.append(job)
                results.append(job[0](self._connection))
                if len(group) >= GROUP_WORKS or time.monotonic() >= ends:
                    break
            self._commit()
        except BaseException as error:
            self._rollback()
            self._settle_failed(group, error)
        else:
            for (_, future, _), result in zip(group, results, strict=True):
                future.set_result(result)

    def _run_outside(self) -> None:
        work, future, _ = self._queue.popleft()
        if not future.set_running_or_notify_cancel():
            return
        self.is_outside = True
        try:
            future.set_result(work(self._connection))
        except BaseException as error:
            self._settle(future, error)
        finally:
            self.is_outside = False

    def _settle_failed(self, group: list[_Job], error: BaseException) -> None:
        if len(group) > 1:
            for job in group:
                self._commit_alone(job[0], job[1])
            return
        failed = group[0] if group else self._next()
        if failed is not None:
            self._settle(failed[1], error)

    def _commit_alone(self, work: _Work, future: Future[Any]) -> None:
        try:
            self._connection.execute("BEGIN")
            result = work(self._connection)
            self._commit()
        except BaseException as error:
            self._rollback()
            self._settle(future, error)
        else:
            future.set_result(result)

    def _commit(self) -> None:
        self._connection.execute("COMMIT")
        self.commits += 1
        self.on_commit()

    def _settle(self, future: Future[Any], error: BaseException) -> None:
        if isinstance(error, duckdb.Error):
            translated = self._translated(error)
            translated.__cause__ = error
            future.set_exception(translated)
        else:
            future.set_exception(error)

    def _next(self) -> _Job | None:
        """The next work for a transaction whose caller still waits for it."""
        while self._queue and not self._queue[0][2]:
            job = self._queue.popleft()
            if job[1].set_running_or_notify_cancel():
                return job
        return None

    def _rollback(self) -> None:
        # A failed COMMIT has rolled back already, and a broken store has nothing to roll back: what
        # matters has been said by the error before.
        try:
            self._connection.execute("ROLLBACK")
        except duckdb.Error:
            return

    def _log_bytes(self) -> int:
        try:
            return self._log_path.stat().st_size
        except FileNotFoundError:
            return 0

    def _bound_log(self) -> None:
        """Past the bound, commit no more until there was a checkpoint, or patience is over.

        For a reader only: one that failed was put off, and is not tried again at once.
        """
        ends = time.monotonic() + PATIENCE_S
        while self._log_bytes() >= self._wait_bytes and not self._checkpoint():
            with self._wake:
                is_over = self._wake.wait_for(lambda: self._closing, RETRY_S)
            if is_over or time.monotonic() >= ends:
                self._postpone()
                return

    def _checkpoint(self) -> bool:
        """False where a reader is in the way, or it failed, which is logged and tried later."""
        try:
            self._check_room()
            self._connection.execute("CHECKPOINT store")
        except duckdb.TransactionException:
            return False
        except (DiskFull, duckdb.Error, OSError) as error:
            log.warning("store.not_checkpointed", error=str(error).partition("\n")[0])
            self._postpone()
            self._mend(error)
            return False
        self._due_bytes, self._wait_bytes = CHECKPOINT_BYTES, MAX_LOG_BYTES
        return True

    def _check_room(self) -> None:
        """Raises `DiskFull` where a checkpoint might not end. The log can be committed to longer.

        It writes what the log holds and, in the worst case, whatever else lies beside that.
        """
        beside = min(self._path.stat().st_size, CHECKPOINT_ROOM_BYTES)
        needed = self._log_bytes() + beside
        free = shutil.disk_usage(self._path.parent).free
        if free < needed:
            raise DiskFull(f"a checkpoint may need {needed} bytes of disk, {free} are free")

    def _mend(self, error: Exception) -> None:
        """A checkpoint that failed half-way leaves the file as it was, and DuckDB unwilling."""
        if not (isinstance(error, duckdb.Error) and was_not_checkpointed(error)):
            return
        try:
            self._reopen(self._connection)
        except RecallError as why:
            log.error("store.not_opened_again", error=str(why))

    def _postpone(self) -> None:
        self._due_bytes = self._log_bytes() + CHECKPOINT_BYTES
        self._wait_bytes = max(MAX_LOG_BYTES, self._due_bytes)
