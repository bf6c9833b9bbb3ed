"""Answers that open pages share: computed once for all who see the same, and not too often."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

from recall_daemon.access.caller import LOCAL, Caller
from recall_daemon.operations import Json
from recall_daemon.search.reach import Reach
from recall_daemon.serve.dashboard.shared import Shared

READER = Caller("reader:1", "reader", reach=Reach(systems=frozenset({"a"})))
SAME = Caller("reader:2", "reader", reach=Reach(systems=frozenset({"a"})))


class Computed:
    """Counts, and takes as long as the clock is told."""

    def __init__(self, takes_s: float = 0.0) -> None:
        self.clock_s = 0.0
        self.takes_s = takes_s
        self.callers: list[Caller] = []

    def __call__(self, caller: Caller) -> Json:
        self.callers.append(caller)
        self.clock_s += self.takes_s
        return {"of": len(self.callers)}

    def shared(self) -> Shared:
        return Shared(self, min_age_s=2.0, clock_s=lambda: self.clock_s)


def test_one_answer_for_all_who_see_the_same() -> None:
    computed = Computed()
    shared = computed.shared()
    assert shared.of(READER) is shared.of(SAME)
    assert computed.callers == [READER]


def test_nobody_gets_the_answer_of_another_reach() -> None:
    computed = Computed()
    shared = computed.shared()
    assert shared.of(LOCAL) != shared.of(READER)
    assert computed.callers == [LOCAL, READER]


def test_it_is_computed_again_once_it_is_old() -> None:
    computed = Computed()
    shared = computed.shared()
    first = shared.of(LOCAL)
    computed.clock_s = 1.9
    assert shared.of(LOCAL) is first
    computed.clock_s = 2.0
    assert shared.of(LOCAL) is not first


def test_what_takes_long_is_asked_seldom() -> None:
    computed = Computed(takes_s=1.0)
    shared = computed.shared()
    first = shared.of(LOCAL)
    computed.clock_s += 19.9
    assert shared.of(LOCAL) is first
    computed.clock_s += 0.2
    assert shared.of(LOCAL) is not first


def test_many_pages_at_once_cost_one_answer() -> None:
    computed = Computed()
    shared = computed.shared()
    begun = threading.Barrier(8)

    def ask() -> Json:
        begun.wait()
        return shared.of(LOCAL)

    with ThreadPoolExecutor(8) as threads:
        answers = [future.result() for future in [threads.submit(ask) for _ in range(8)]]
    assert answers == [{"of": 1}] * 8
