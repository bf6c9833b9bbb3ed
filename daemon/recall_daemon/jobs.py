"""Work in the background: when each kind is due, how far it is, and what became of it."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import threading
import uuid
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

import structlog

from recall_daemon.errors import JobRunning, JobStopped, JobUnknown, StoreBroken
from recall_daemon.loop import Beat, Sleep
from recall_daemon.metrics import JOBS
from recall_daemon.store import audit_log, leases
from recall_daemon.store import jobs as table
from recall_daemon.store.audit_log import Act
from recall_daemon.store.jobs import JobRun
from recall_daemon.store.leases import Lease
from recall_daemon.store.store import Connection, Store
from recall_wire.errors import RecallError, TransientError

log = structlog.get_logger(__name__)

Json = dict[str, Any]

# A start is busy enough: what is overdue waits so long.
START_DELAY = timedelta(seconds=60)
# Of a job that runs more often than this only failures are told as events.
TOLD_FROM = timedelta(minutes=5)
# A run holds its kind's lease so long, and makes it last again as it goes on.
LEASE = timedelta(minutes=5)

_STOPPING = "the hub is stopping"


class Progress:
    """How far a run is. `update` may be called from any thread, as often as it likes.

    `renew` is called by each update: what a run holds only as long as it goes on.
    """

    def __init__(self, renew: Callable[[Progress], None] = lambda _: None) -> None:
        self._lock = threading.Lock()
        self._renew = renew
        self._why_stop: str | None = None
        self._done = 0
        self._total: int | None = None
        self._detail: str | None = None

    def update(self, done: int, total: int | None = None, detail: str | None = None) -> None:
        """Say how much is done, of how much where that is known, and what in a few words.

        Raises `JobStopped` when the hub is stopping: call it between steps that stand alone.
        """
        with self._lock:
            self._done = done
            self._total = total if total is not None else self._total
            self._detail = detail if detail is not None else self._detail
        self.check()
        self._renew(self)

    def check(self) -> None:
        """Raises `JobStopped` once the run is to end."""
        if self._why_stop is not None:
            raise JobStopped(self._why_stop)

    def stop(self, why: str = _STOPPING) -> None:
        """Have the run end at its next step."""
        self._why_stop = why

    def of(self, run: JobRun) -> JobRun:
        """The run with what was said so far."""
        with self._lock:
            return replace(run, done=self._done, total=self._total, detail=self._detail)


Work = Callable[[Progress], Awaitable[None] | None]


def _always() -> bool:
    return True


@dataclass(frozen=True)
class Job:
    """A kind of background work.

    `every`: how often it runs by itself; None: only when asked for. `work` is a coroutine function,
    run on the loop, or a plain one, run in a thread. `is_needed` is asked, in a thread, before a
    run by the clock: False leaves it out, and no trace of it.
    """

    kind: str
    every: timedelta | None
    work: Work
    is_needed: Callable[[], bool] = _always


@dataclass
class _Live:
    run: JobRun
    progress: Progress
    lease: Lease


class Jobs:
    """Runs jobs, one of a kind at a time, and remembers how each ended.

    A run holds its kind's lease in the store, so that no other runner has the same kind under way;
    a lease whose runner hangs or is gone ends by itself after `LEASE`.

    Progress of a run is kept in memory and written when it ends: another process cannot read the
    store meanwhile anyway. Used from one event loop.
    """

    def __init__(
        self,
        store: Store,
        jobs: Sequence[Job],
        *,
        now: Callable[[], datetime],
        sleep: Sleep = asyncio.sleep,
    ) -> None:
        self._store = store
        self._jobs = {job.kind: job for job in jobs}
        self._now = now
        self._sleep = sleep
        for job in jobs:  # from the start: an alert sees how a series grows, not that it begins
            for outcome in ("done", "failed"):
                JOBS.labels(job.kind, outcome)
        self._beats = {job.kind: self._beat(job) for job in jobs}
        self._holder = f"{store.opening}/{uuid.uuid4().hex[:8]}"
        self._live: dict[str, _Live] = {}
        self._group: asyncio.TaskGroup | None = None
        # Threads of their own: a backup that takes minutes must not hold up the index.
        self._threads = ThreadPoolExecutor(max(len(jobs), 1), thread_name_prefix="job")
        left_over = store.write(lambda connection: _clear(connection, store.opening, now()))
        if left_over:
            log.warning("jobs.cut_off", jobs=left_over)

    async def schedule(self) -> None:
        """Run every job at its times, for ever. Raises `StoreBroken`, and nothing else."""
        async with asyncio.TaskGroup() as group:
            self._group = group
            try:
                for beat in self._beats.values():
                    group.create_task(beat.run())
                await asyncio.Event().wait()
            finally:
                self._group = None
                self.stop()

    def set_interval(self, kind: str, interval: timedelta | None) -> None:
        """From now on run a kind so often, counted from its last run; None: only when asked."""
        self._jobs[kind] = replace(self._jobs[kind], every=interval)
        self._beats[kind].change(interval.total_seconds() if interval else None)

    def stop(self) -> None:
        """Have what runs in a thread end at its next step. Idempotent."""
        for live in self._live.values():
            live.progress.stop()

    def close(self) -> None:
        """Stop, and leave to its end what still runs in a thread. Idempotent."""
        self.stop()
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def run(self, kind: str, *, actor: str | None = None) -> JobRun:
        """Run a job now and return how it ended; a failure is in the answer, not raised.

        `actor`: whoever asked for it by hand, for the audit log; None by the clock.

        Raises `JobUnknown`, `JobRunning`, `StoreBroken`, and what the store raises when it cannot
        take the run's beginning.
        """
        job = self._job(kind)
        return await self._work(job, await self._begin(job, actor))

    async def start(self, kind: str, *, actor: str | None = None) -> JobRun:
        """Begin a job now and return its run, still going, while `schedule` runs.

        Raises `JobStopped` where the hub is stopping, and what `run` raises.
        """
        job = self._job(kind)
        group = self._group
        if group is None:
            raise _stopping()
        live = await self._begin(job, actor)
        work = self._work(job, live)
        try:
            if self._group is not group:
                raise _stopping()
            group.create_task(work)
        except (JobStopped, RuntimeError) as error:  # a group that ends takes no task any more
            work.close()
            del self._live[kind]
            why = _stopping()
            ended = replace(live.run, state="failed", finished_at=self._now(), detail=str(why))
            await self._record(ended)
            raise why from error
        return live.run

    def listed(self) -> Json:
        """`{jobs: [{kind, every_s, state, …}]}`: each kind with its newest run. Blocking."""
        with self._store.read() as connection:
            runs = table.latest(connection)
        for kind, live in list(self._live.items()):
            runs[kind] = live.progress.of(live.run)
        kinds = sorted({*self._jobs, *runs})
        return {"jobs": [run_json(kind, self._jobs.get(kind), runs.get(kind)) for kind in kinds]}

    def _job(self, kind: str) -> Job:
        if kind not in self._jobs:
            known = ", ".join(sorted(self._jobs))
            raise JobUnknown(f"there is no job {kind[:60]!r}", hint=f"there are {known}")
        return self._jobs[kind]

    def _beat(self, job: Job) -> Beat:
        async def delay_s(interval_s: float) -> float:
            return await asyncio.to_thread(self._first_delay_s, job, timedelta(seconds=interval_s))

        return Beat(
            job.every.total_seconds() if job.every else None,
            lambda: self._due(job),
            sleep=self._sleep,
            delay_s=delay_s,
        )

    def _first_delay_s(self, job: Job, interval: timedelta) -> float:
        """An interval after the last run began, so that restarts do not put a daily job off."""
        with self._store.read() as connection:
            last = table.latest(connection).get(job.kind)
        left = last.started_at + interval - self._now() if last else timedelta(0)
        # A clock that was set back must not put it off any longer.
        return min(max(left, min(START_DELAY, interval)), interval).total_seconds()

    async def _due(self, job: Job) -> None:
        if job.kind in self._live:
            return
        try:
            if await asyncio.to_thread(job.is_needed):
                await self.run(job.kind)
        except (JobRunning, TransientError) as error:
            log.warning("job.not_begun", kind=job.kind, error=str(error))

    async def _begin(self, job: Job, actor: str | None) -> _Live:
        if job.kind in self._live:
            raise _running(job.kind, self._live[job.kind].lease.expires_at)
        # Its place is taken before anything is awaited.
        now = self._now()
        lease = Lease(job.kind, self._holder, now + LEASE)
        live = _Live(JobRun(0, job.kind, "running", now), Progress(self._renewed), lease)
        self._live[job.kind] = live
        try:
            live.run = await asyncio.to_thread(
                self._store.write, lambda c: _begin(c, lease, actor, now)
            )
        except BaseException:
            del self._live[job.kind]
            raise
        return live

    def _renewed(self, progress: Progress) -> None:
        """Make the lease of a run last again, once a third of it is over; it waits for nothing."""
        live = next((one for one in list(self._live.values()) if one.progress is progress), None)
        now = self._now()
        if live is None or live.lease.expires_at - now > LEASE * 2 / 3:
            return
        live.lease = lease = replace(live.lease, expires_at=now + LEASE)
        # A store that takes nothing now tells whoever writes next.
        with contextlib.suppress(RecallError):
            taken = self._store.submit(lambda connection: leases.take(connection, lease, now))
            taken.add_done_callback(lambda done: _stop_if_lost(done, progress))

    async def _work(self, job: Job, live: _Live) -> JobRun:
        try:
            why_not = await self._attempt(job, live.progress)
            ended = replace(live.progress.of(live.run), state="done", finished_at=self._now())
            if why_not is not None:
                ended = replace(ended, state="failed", detail=why_not)
            JOBS.labels(job.kind, ended.state).inc()
            await self._record(ended, quiet=_is_routine(job))
        finally:
            del self._live[job.kind]
        return ended

    async def _attempt(self, job: Job, progress: Progress) -> str | None:
        """Do the work. One sentence where it failed: a job never takes the hub with it."""
        try:
            if inspect.iscoroutinefunction(job.work):
                await job.work(progress)
            else:
                loop = asyncio.get_running_loop()
                answer = await loop.run_in_executor(self._threads, job.work, progress)
                if inspect.isawaitable(answer):
                    await answer
        except StoreBroken:
            raise
        except RecallError as error:
            log.warning("job.failed", kind=job.kind, error=str(error))
            return str(error)
        except OSError as error:
            # A full disk, most often: nothing that a traceback would explain.
            log.warning("job.failed", kind=job.kind, error=str(error))
            return f"this machine refused: {error}"
        except Exception as error:
            log.exception("job.failed", kind=job.kind)
            return f"{type(error).__name__}: {error}"
        return None

    async def _record(self, run: JobRun, *, quiet: bool = False) -> None:
        try:
            await asyncio.to_thread(
                self._store.write, lambda c: _finish(c, run, self._holder, quiet=quiet)
            )
        except TransientError as error:
            # The next start marks it; until then it reads as running, which it does not any more.
            log.warning("job.not_recorded", kind=run.kind, error=str(error))


def _is_routine(job: Job) -> bool:
    """Whether its runs are too many to tell of each that is done."""
    return job.every is not None and job.every < TOLD_FROM


def _stopping() -> JobStopped:
    return JobStopped("the hub is stopping", hint="ask again when it runs")


def _running(kind: str, until: datetime) -> JobRunning:
    return JobRunning(
        f"{kind} is running until {until.isoformat(timespec='seconds')}, or longer if it goes on",
        hint="see `recalld jobs`",
    )


def _clear(connection: Connection, opening: str, now: datetime) -> int:
    """What a process that is gone left behind; returns how many runs it had under way."""
    leases.release_dead(connection, opening)
    return table.fail_left_over(connection, now)


def _begin(connection: Connection, lease: Lease, actor: str | None, now: datetime) -> JobRun:
    """In the running transaction; with whoever asked for it by hand. Raises `JobRunning`."""
    other = leases.take(connection, lease, now)
    if other is not None:
        raise _running(other.name, other.expires_at)
    run = table.begin(connection, lease.name, now)
    if actor is not None:
        said = {"kind": lease.name, "job_id": run.job_id}
        audit_log.append(connection, Act(actor, "job.started", None, said), now)
    return run


def _finish(connection: Connection, run: JobRun, holder: str, *, quiet: bool) -> None:
    leases.release(connection, run.kind, holder)
    table.finish(connection, run, quiet=quiet)


def _stop_if_lost(taken: Future[Lease | None], progress: Progress) -> None:
    """On the writer's thread: a run whose lease another took over ends at its next step."""
    if taken.exception() is None and taken.result() is not None:
        progress.stop("another runner has taken this job over")


def run_json(kind: str, job: Job | None, run: JobRun | None) -> Json:
    """A job with its newest run; `state` is None for one that never ran."""
    finished_at = run.finished_at if run else None
    return {
        "kind": kind,
        "job_id": run.job_id if run else None,
        "every_s": job.every.total_seconds() if job and job.every else None,
        "state": run.state if run else None,
        "started_at": run.started_at.isoformat() if run else None,
        "finished_at": finished_at.isoformat() if finished_at else None,
        "done": run.done if run else 0,
        "total": run.total if run else None,
        "detail": run.detail if run else None,
    }
