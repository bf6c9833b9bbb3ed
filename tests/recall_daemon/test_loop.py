"""The beat does not drift, and `once` ends when all is done or nothing moves any more."""

from __future__ import annotations

import asyncio

import pytest

from recall_daemon.ingest.pipeline import PollReport
from recall_daemon.loop import ONCE_TRIES, every, poll_safely, until_done
from recall_wire.errors import BucketRefused, BucketUnreachable


class Clock:
    """A loop whose time moves only when told."""

    def __init__(self) -> None:
        self.now = 100.0

    def time(self) -> float:
        return self.now


async def test_the_beat_keeps_to_multiples_and_skips_what_it_missed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock, started = Clock(), []
    durations = iter([2.0, 9.5, 21.0, 0.0])
    monkeypatch.setattr(asyncio, "get_running_loop", lambda: clock)

    async def step() -> None:
        started.append(clock.now)
        clock.now += next(durations, None) or 0.0
        if len(started) == 4:
            raise KeyboardInterrupt

    async def sleep(seconds: float) -> None:
        assert seconds > 0
        clock.now += seconds

    with pytest.raises(KeyboardInterrupt):
        await every(10.0, step, sleep=sleep)
    assert started == [100.0, 110.0, 120.0, 150.0]


def polls(*reports: PollReport | Exception) -> object:
    left = list(reports)

    async def poll() -> PollReport:
        report = left.pop(0) if left else PollReport()
        if isinstance(report, Exception):
            raise report
        return report

    return poll


async def no_sleep(_: float) -> None:
    return None


async def nothing_left() -> int:
    return 0


async def test_once_polls_until_a_poll_finds_nothing() -> None:
    total = await until_done(
        polls(PollReport(merged=2, changed_rows=7), PollReport(quarantined=1)),  # type: ignore[arg-type]
        nothing_left,
        sleep=no_sleep,
    )
    assert (total.merged, total.changed_rows, total.quarantined, total.pending) == (2, 7, 1, 0)


async def test_once_tries_again_after_a_passing_failure() -> None:
    total = await until_done(
        polls(BucketUnreachable("away"), PollReport(merged=1)),  # type: ignore[arg-type]
        nothing_left,
        sleep=no_sleep,
    )
    assert (total.merged, total.pending, total.errors) == (1, 0, [])


async def test_once_gives_up_when_nothing_moves() -> None:
    failures = [BucketUnreachable("away")] * (ONCE_TRIES + 1)
    total = await until_done(polls(*failures), nothing_left, sleep=no_sleep)  # type: ignore[arg-type]
    assert (total.pending, total.errors) == (1, ["away"])


async def test_once_says_so_when_texts_cannot_be_embedded() -> None:
    async def backlog() -> int:
        return 3

    total = await until_done(polls(), backlog, sleep=no_sleep)  # type: ignore[arg-type]
    assert total.pending == 3


async def test_a_refusal_ends_once_but_not_the_beat() -> None:
    with pytest.raises(BucketRefused):
        await until_done(polls(BucketRefused("403")), nothing_left, sleep=no_sleep)  # type: ignore[arg-type]
    report = await poll_safely(polls(BucketRefused("403")))  # type: ignore[arg-type]
    assert (report.pending, report.errors) == (1, ["403"])
