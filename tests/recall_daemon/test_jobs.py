"""Background work: due without drift, one of a kind at a time, failures told and not fatal."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import httpx
import pytest

from recall_daemon.errors import JobRunning, JobStopped, JobUnknown, StoreBroken
from recall_daemon.jobs import LEASE, Job, Jobs, Progress
from recall_daemon.serve.gate import Terms
from recall_daemon.serve.routes import make_app
from recall_daemon.store import jobs as table
from recall_daemon.store import leases
from recall_daemon.store.store import Store
from recall_wire.errors import BucketUnreachable

NOW = datetime(2026, 1, 2, tzinfo=UTC)


def make(store: Store, *jobs: Job, sleep: Any = None) -> Jobs:
    return Jobs(store, jobs, now=lambda: NOW, sleep=sleep or forever)


async def forever(_: float) -> None:
    await asyncio.Event().wait()


def newest(store: Store, kind: str) -> table.JobRun:
    with store.read() as connection:
        return table.latest(connection)[kind]


async def test_a_job_says_how_far_it_came(store: Store) -> None:
    jobs = make(store, Job("age", None, lambda progress: progress.update(2, 3, "two moved")))
    ended = await jobs.run("age")
    assert (ended.state, ended.done, ended.total, ended.detail) == ("done", 2, 3, "two moved")
    assert newest(store, "age") == ended
    assert ended.finished_at == NOW


async def test_async_work_runs_on_the_loop_and_plain_work_in_a_thread(store: Store) -> None:
    where: dict[str, int] = {}

    async def on_loop(_: Progress) -> None:
        where["loop"] = threading.get_ident()

    async def hidden(_: Progress) -> None:
        where["hidden"] = threading.get_ident()

    def in_thread(_: Progress) -> None:
        where["thread"] = threading.get_ident()

    jobs = make(
        store,
        Job("loop", None, on_loop),
        Job("thread", None, in_thread),
        Job("hidden", None, partial(lambda work, progress: work(progress), hidden)),
    )
    for kind in ("loop", "thread", "hidden"):
        assert (await jobs.run(kind)).state == "done"
    assert where["loop"] == where["hidden"] == threading.get_ident() != where["thread"]


@pytest.mark.parametrize(
    ("error", "detail"),
    [(BucketUnreachable("no answer"), "no answer"), (ValueError("odd"), "ValueError: odd")],
)
async def test_a_failure_is_told_and_does_not_end_the_others(
    store: Store, error: Exception, detail: str
) -> None:
    def fail(progress: Progress) -> None:
        progress.update(1, 2)
        raise error

    jobs = make(store, Job("bad", None, fail), Job("good", None, lambda progress: None))
    ended = await jobs.run("bad")
    assert (ended.state, ended.done, ended.detail) == ("failed", 1, detail)
    assert (await jobs.run("good")).state == "done"
    assert (await jobs.run("bad")).state == "failed"


async def test_a_broken_store_ends_the_schedule(store: Store) -> None:
    def broken(_: Progress) -> None:
        raise StoreBroken("open it again")

    slept = iter([None])

    async def once(_: float) -> None:
        if next(slept, 1) == 1:
            await forever(0)

    with pytest.raises(ExceptionGroup) as raised:
        await make(store, Job("bad", timedelta(hours=1), broken), sleep=once).schedule()
    assert raised.group_contains(StoreBroken)


async def test_one_of_a_kind_at_a_time(store: Store) -> None:
    going, leave = asyncio.Event(), asyncio.Event()

    async def wait(progress: Progress) -> None:
        progress.update(1, 4, "waiting")
        going.set()
        await leave.wait()

    jobs = make(store, Job("slow", None, wait))
    first = asyncio.create_task(jobs.run("slow"))
    await going.wait()
    with pytest.raises(JobRunning):
        await jobs.run("slow")
    listed: Any = jobs.listed()["jobs"]
    assert [(job["state"], job["done"], job["detail"]) for job in listed] == [
        ("running", 1, "waiting")
    ]
    leave.set()
    assert (await first).state == "done"
    assert (await jobs.run("slow")).state == "done"


async def test_stopping_ends_a_thread_at_its_next_step(store: Store) -> None:
    going, told = threading.Event(), threading.Event()
    caught: list[Exception] = []

    def work(progress: Progress) -> None:
        going.set()
        told.wait(10)
        try:
            progress.update(1)
        except JobStopped as error:
            caught.append(error)
            raise

    jobs = make(store, Job("long", None, work))
    running = asyncio.create_task(jobs.run("long"))
    await asyncio.to_thread(going.wait, 10)
    jobs.stop()
    told.set()
    assert (await running).state == "failed"
    assert len(caught) == 1


@pytest.mark.parametrize("ends", ["the schedule", "another job"])
async def test_a_start_while_the_hub_stops_is_refused_and_leaves_nothing_running(
    store: Store, monkeypatch: pytest.MonkeyPatch, ends: str
) -> None:
    jobs = make(store, Job("age", None, lambda _: None))
    schedule = asyncio.create_task(jobs.schedule())
    while jobs._group is None:
        await asyncio.sleep(0)
    begin = jobs._begin

    async def broken() -> None:
        raise StoreBroken("the disk is gone")

    async def and_stop(job: Job, actor: str | None) -> Any:
        live = await begin(job, actor)
        if ends == "the schedule":
            schedule.cancel()
            await asyncio.wait({schedule})
        else:
            group = jobs._group
            assert group is not None
            broke = group.create_task(broken())
            await asyncio.wait({broke})
        return live

    monkeypatch.setattr(jobs, "_begin", and_stop)
    with pytest.raises(JobStopped, match="the hub is stopping"):
        await jobs.start("age")
    with pytest.raises((asyncio.CancelledError, ExceptionGroup)):
        await schedule
    assert newest(store, "age").state == "failed"
    monkeypatch.undo()
    assert (await jobs.run("age")).state == "done"


async def test_what_a_killed_process_left_is_marked_failed(store: Store) -> None:
    store.write(lambda connection: table.begin(connection, "age", NOW))
    make(store, Job("age", None, lambda progress: None))
    left = newest(store, "age")
    assert (left.state, left.finished_at) == ("failed", NOW)
    assert "process ended" in (left.detail or "")


async def test_old_runs_are_pruned_a_kind_for_itself(store: Store) -> None:
    jobs = make(
        store, Job("often", None, lambda progress: None), Job("once", None, lambda progress: None)
    )
    await jobs.run("once")
    for _ in range(table.KEPT_RUNS + 5):
        await jobs.run("often")
    with store.read() as connection:
        rows = connection.execute("SELECT kind, count(*) FROM jobs GROUP BY 1").fetchall()
    assert dict(rows) == {"once": 1, "often": table.KEPT_RUNS + 1}


def after_a_run(store: Store, ago: timedelta) -> None:
    def work(connection: Any) -> None:
        run = table.begin(connection, "daily", NOW - ago)
        table.finish(connection, table.JobRun(run.job_id, "daily", "done", NOW - ago, NOW - ago))

    store.write(work)


@pytest.mark.parametrize(
    ("prepare", "wanted_s"),
    [
        (lambda store: None, 60.0),
        (lambda store: after_a_run(store, timedelta(hours=20)), 4 * 3600.0),
        (lambda store: after_a_run(store, timedelta(days=9)), 60.0),
        (lambda store: after_a_run(store, timedelta(days=-9)), 24 * 3600.0),
    ],
    ids=["never ran", "ran today", "overdue", "clock was set back"],
)
async def test_the_first_run_is_an_interval_after_the_last(
    store: Store, prepare: Callable[[Store], None], wanted_s: float
) -> None:
    prepare(store)
    asked: list[float] = []

    async def sleep(seconds: float) -> None:
        asked.append(seconds)
        raise StoreBroken("enough")

    job = Job("daily", timedelta(days=1), lambda progress: None)
    with pytest.raises(ExceptionGroup):
        await make(store, job, sleep=sleep).schedule()
    assert asked == [wanted_s]


async def test_what_is_not_needed_leaves_no_trace(store: Store) -> None:
    beats = iter(range(3))
    needed = iter([False, True, False])

    async def sleep(_: float) -> None:
        if next(beats, None) is None:
            raise StoreBroken("enough")

    job = Job("ship", timedelta(seconds=30), lambda progress: None, lambda: next(needed))
    with pytest.raises(ExceptionGroup):
        await make(store, job, sleep=sleep).schedule()
    with store.read() as connection:
        assert connection.execute("SELECT count(*) FROM jobs").fetchall() == [(1,)]


async def test_an_unknown_kind_is_refused(store: Store) -> None:
    with pytest.raises(JobUnknown, match="there are age"):
        await make(store, Job("age", None, lambda progress: None)).run("x")


async def test_the_port_starts_a_job_and_tells_its_end(open_test_hub: Any) -> None:
    async with open_test_hub() as opened:
        hub = opened.hub
        done = asyncio.Event()

        async def work(progress: Progress) -> None:
            progress.update(7, 7)
            done.set()

        jobs = make(hub.core.store, Job("age", None, work))
        app = make_app(
            hub.core.operations,
            dict,
            hub.pushes,
            jobs,
            hub.archive,
            forgetting=hub.forgetting,
            pull=hub.pull,
            memories=hub.memory_parts(),
            shared=hub.shared,
            subscribers=hub.subscribers,
            tokens=hub.core.tokens,
            terms=Terms(),
        )
        transport = httpx.ASGITransport(app)
        scheduled = asyncio.create_task(jobs.schedule())
        await asyncio.sleep(0)
        async with httpx.AsyncClient(transport=transport, base_url="http://hub") as http:
            begun = await http.post("/v1/jobs/age/run")
            assert (begun.status_code, begun.json()["kind"]) == (202, "age")
            await done.wait()
            assert (await http.post("/v1/jobs/x/run")).status_code == 404
            listed = (await http.get("/v1/jobs")).json()["jobs"]
            while listed[0]["state"] == "running":
                await asyncio.sleep(0)
                listed = (await http.get("/v1/jobs")).json()["jobs"]
            assert [(job["kind"], job["done"]) for job in listed] == [("age", 7)]
        scheduled.cancel()
        with pytest.raises(asyncio.CancelledError):
            await scheduled


def at(store: Store, now: datetime, *jobs: Job) -> Jobs:
    return Jobs(store, jobs, now=lambda: now, sleep=forever)


def until(store: Store, kind: str) -> datetime | None:
    with store.read() as connection:
        lease = leases.find(connection, kind)
    return lease.expires_at if lease else None


async def test_a_second_runner_is_told_until_when_the_first_has_the_lease(store: Store) -> None:
    going, leave = asyncio.Event(), asyncio.Event()

    async def wait(_: Progress) -> None:
        going.set()
        await leave.wait()

    job = Job("slow", None, wait)
    jobs, others = make(store, job), at(store, NOW + LEASE / 2, job)
    first = asyncio.create_task(jobs.run("slow"))
    await going.wait()
    with pytest.raises(JobRunning, match=r"slow is running until 2026-01-02T00:05:00\+00:00"):
        await others.run("slow")
    with pytest.raises(JobRunning, match="until 2026-01-02T00:05:00"):
        await jobs.run("slow")
    leave.set()
    await first
    assert until(store, "slow") is None
    assert (await others.run("slow")).state == "done"


async def test_a_lease_that_ran_out_is_taken_over_and_its_runner_ends(store: Store) -> None:
    clock, told = [NOW], threading.Event()
    going = threading.Event()

    def hang(progress: Progress) -> None:
        going.set()
        told.wait(10)
        progress.update(1)
        store.write(lambda _: None)  # behind the renewal
        progress.update(2)

    jobs = Jobs(store, [Job("slow", None, hang)], now=lambda: clock[0], sleep=forever)
    hanging = asyncio.create_task(jobs.run("slow"))
    await asyncio.to_thread(going.wait, 10)
    clock[0] = NOW + 2 * LEASE
    leave = asyncio.Event()

    async def wait(_: Progress) -> None:
        told.set()
        await leave.wait()

    second = asyncio.create_task(at(store, clock[0], Job("slow", None, wait)).run("slow"))
    ended = await hanging
    assert (ended.state, ended.detail) == ("failed", "another runner has taken this job over")
    assert until(store, "slow") == clock[0] + LEASE
    leave.set()
    assert (await second).state == "done"


async def test_progress_makes_the_lease_last(store: Store) -> None:
    clock, seen = [NOW], []

    def work(progress: Progress) -> None:
        for minutes in (1, 4, 8):
            clock[0] = NOW + timedelta(minutes=minutes)
            progress.update(minutes)
            store.write(lambda _: None)
            seen.append(until(store, "long"))

    jobs = Jobs(store, [Job("long", None, work)], now=lambda: clock[0], sleep=forever)
    await jobs.run("long")
    assert seen == [NOW + LEASE, NOW + timedelta(minutes=4) + LEASE, clock[0] + LEASE]


async def test_the_lease_of_a_killed_process_holds_nobody_up(store: Store) -> None:
    dead = leases.Lease("age", "another-process/1", NOW + LEASE)
    store.write(lambda connection: leases.take(connection, dead, NOW))
    assert (await make(store, Job("age", None, lambda _: None)).run("age")).state == "done"
