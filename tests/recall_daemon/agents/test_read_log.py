"""What an agent reads of another's is in the audit log before it is told, or it is not told."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # reading_child

import forked
import reading_child
from reading_child import GUARD, HELPER, settings

from recall_daemon.agents import read_log
from recall_daemon.agents.read_log import ReadLog
from recall_daemon.core import open_core
from recall_daemon.errors import ReadNotNoted, StoreFailed
from recall_daemon.search.reach import Told
from recall_daemon.store import audit_log
from recall_daemon.store.store import Store

SOAK = "RECALLD_TEST_SOAK" in os.environ
KILLS = 100 if SOAK else 5
TOLD = [Told("agents", "shared", "guard")]


def noted(store: Store) -> int:
    with store.read() as connection:
        assert audit_log.problems(connection) == []
        asked = "SELECT count(*) FROM audit_log WHERE action = ?"
        return int(connection.execute(asked, [read_log.ACTION]).fetchall()[0][0])


@contextmanager
def busy(store: Store) -> Iterator[None]:
    """The store's writer is at something that takes long."""
    begun, goes_on = threading.Event(), threading.Event()

    def work(_: object) -> None:
        begun.set()
        goes_on.wait(30)

    future = store.submit(work)
    assert begun.wait(10)
    try:
        yield
    finally:
        goes_on.set()
        future.result(10)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = Store(tmp_path)
    yield store
    store.close()


@pytest.fixture
def log(store: Store) -> ReadLog:
    return ReadLog(store, now=lambda: datetime.now(UTC))


def test_an_entry_is_durable_when_it_is_noted(store: Store, log: ReadLog) -> None:
    for number in range(1, 4):
        log.note("local/helper", "helper", None, TOLD)
        assert noted(store) == number


def test_reads_that_wait_at_the_same_time_are_each_an_entry(store: Store, log: ReadLog) -> None:
    with ThreadPoolExecutor(16) as pool:
        with busy(store):
            waiting = [pool.submit(log.note, "a", "helper", None, TOLD) for _ in range(16)]
        for one in waiting:
            one.result(10)
    assert noted(store) == 16


def test_a_store_that_is_busy_for_long_refuses_the_read(
    store: Store, log: ReadLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(read_log, "WAIT_S", 0.05)
    with busy(store), pytest.raises(ReadNotNoted, match="the store is busy"):
        log.note("a", "helper", None, TOLD)


def test_an_entry_that_cannot_be_written_refuses_every_read_that_waits_for_it(
    store: Store, log: ReadLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise StoreFailed("the disk is full")

    with ThreadPoolExecutor(4) as pool:
        with busy(store):
            monkeypatch.setattr(audit_log, "append_all", refuse)
            waiting = [pool.submit(log.note, "a", "helper", None, TOLD) for _ in range(4)]
        for one in waiting:
            with pytest.raises(ReadNotNoted, match="the disk is full"):
                one.result(10)
    monkeypatch.undo()
    log.note("a", "helper", None, TOLD)
    assert noted(store) == 1


def test_a_closed_store_refuses_the_read(store: Store, log: ReadLog) -> None:
    store.close()
    with pytest.raises(ReadNotNoted, match="is closed"):
        log.note("a", "helper", None, TOLD)


@pytest.mark.timeout(3600 if SOAK else 120)
def test_killed_at_any_instant_every_answer_has_its_entry(tmp_path: Path) -> None:
    seed = random.SystemRandom().randrange(10**6)
    chance = random.Random(seed)
    with open_core(settings(tmp_path)) as core:
        shared = core.shared(core.posts(lambda: None), lambda: None)
        shared.memories.add(GUARD, {"content": "It is shared.", "memory_id": "shared"})
        shared.sharing.share_with_agents(GUARD, "shared", [str(HELPER.agent_id)])
    before = 0
    for number in range(KILLS):
        answers = read_until_killed(tmp_path, chance.uniform(0.0, 0.3))
        with open_core(settings(tmp_path)) as core:
            entries = noted(core.store)
        # The last one was cut off between its entry and its answer.
        assert entries - before in (answers, answers + 1), f"seed {seed}, kill {number}"
        before = entries


def read_until_killed(folder: Path, seconds: float) -> int:
    """How many answers a process gave, in some time after its first."""
    with forked.start_talking([reading_child.__file__, folder]) as process:
        assert process.stdout.readline() == "shared\n"
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(timeout=seconds)
        process.kill()
        return 1 + process.stdout.read().count("\n")
