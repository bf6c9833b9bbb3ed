"""Leases in the store: each thing that a lock is said to do, and what a fence lets through."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from recall_daemon.errors import AgentInvalid, LockNotHeld, MemoryLocked, StaleFence
from recall_daemon.store import leasing, locks
from recall_daemon.store.leasing import Claim, Proof
from recall_daemon.store.locks import Lock, Standing
from recall_daemon.store.store import Store

M, N = ("laptop", "m"), ("laptop", "n")
START = datetime(2026, 1, 1, tzinfo=UTC)
START_MS = int(START.timestamp() * 1000)


class Desk:
    """Asks a store for leases, at a time that is set by hand."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.now = START

    def later(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)

    def acquire(
        self,
        holder: str,
        name: tuple[str, str] = M,
        lease_s: float = 300,
        wait_s: float = 30,
    ) -> Lock | None:
        """The lease, where the holder has it now."""
        until = self.now + timedelta(seconds=wait_s)
        claim = Claim(name, holder, timedelta(seconds=lease_s), until)
        lock = self._write(lambda c: leasing.acquire(c, claim, self.now)).held(self.now)
        return lock if lock is not None and lock.holder == holder else None

    def release(self, holder: str, fence: int, name: tuple[str, str] = M) -> Lock | None:
        proof = Proof(name, holder, fence)
        return self._write(lambda c: leasing.release(c, proof, self.now)).lock

    def renew(self, holder: str, fence: int, lease_s: float = 300) -> Lock | None:
        proof, lease = Proof(M, holder, fence), timedelta(seconds=lease_s)
        return self._write(lambda c: leasing.renew(c, proof, self.now, lease)).lock

    def leave(self, holder: str) -> Standing:
        return self._write(lambda c: leasing.leave(c, M, holder, self.now))

    def standing(self, name: tuple[str, str] = M) -> Standing:
        with self.store.look_up() as connection:
            return locks.standing(connection, name, self.now)

    def line(self) -> list[str]:
        return [waiter.holder for waiter in self.standing().line]

    def check(self, holder: str, fences: Any = None, *names: tuple[str, str]) -> None:
        with self.store.look_up() as connection:
            locks.check(connection, names or (M,), holder=holder, fences=fences, now=self.now)

    def _write(self, work: Callable[[Any], Standing]) -> Standing:
        return self.store.write(work)


@pytest.fixture
def desk(store: Store) -> Desk:
    return Desk(store)


def had(lock: Lock | None) -> Lock:
    assert lock is not None
    return lock


def test_a_lease_lasts_as_long_as_it_says(desk: Desk) -> None:
    lock = had(desk.acquire("ann", lease_s=300))
    assert (lock.depth, lock.expires_at) == (1, START + timedelta(seconds=300))
    desk.later(299.999)
    assert desk.acquire("bob", wait_s=0) is None
    renewed = had(desk.renew("ann", lock.fence, lease_s=60))
    assert (renewed.fence, renewed.expires_at) == (lock.fence, desk.now + timedelta(seconds=60))
    assert had(desk.renew("ann", lock.fence, lease_s=1)).expires_at == renewed.expires_at


def test_waiting_is_first_come_first_served(desk: Desk) -> None:
    fence = had(desk.acquire("ann")).fence
    for holder in ("bob", "cid", "dan"):
        assert desk.acquire(holder) is None
    desk.later(1)
    assert desk.acquire("bob") is None  # asks again, and keeps the place
    assert desk.line() == ["bob", "cid", "dan"]
    desk.release("ann", fence)
    assert desk.acquire("dan") is None
    assert desk.acquire("eve", wait_s=0) is None
    bob = had(desk.acquire("bob"))
    assert desk.line() == ["cid", "dan"]
    desk.release("bob", bob.fence)
    desk.leave("cid")
    assert desk.acquire("dan") is not None
    assert desk.line() == []


def test_waiters_whose_time_is_over_are_passed_and_dropped(desk: Desk) -> None:
    fence = had(desk.acquire("ann")).fence
    desk.acquire("bob", wait_s=10)
    desk.acquire("cid", wait_s=60)
    desk.release("ann", fence)
    assert desk.acquire("cid") is None
    desk.later(10)
    assert desk.acquire("bob", wait_s=10) is None  # at the end of the line, now
    assert desk.line() == ["cid", "bob"]
    with desk.store.look_up() as connection:
        assert connection.execute("SELECT count(*) FROM lock_waiters").fetchall() == [(2,)]
    assert desk.acquire("cid") is not None


def test_asking_again_keeps_the_place_for_longer(desk: Desk) -> None:
    desk.acquire("ann")
    desk.acquire("bob", wait_s=30)
    desk.acquire("cid", wait_s=300)
    desk.later(29)
    desk.acquire("bob", wait_s=30)
    desk.acquire("bob", wait_s=1)
    desk.later(29)
    assert desk.line() == ["bob", "cid"]
    desk.later(1)
    assert desk.line() == ["cid"]


def test_the_owner_is_let_in_again_with_the_same_fence(desk: Desk) -> None:
    first = had(desk.acquire("ann", lease_s=10))
    desk.later(5)
    again = had(desk.acquire("ann", lease_s=10))
    assert (again.fence, again.depth) == (first.fence, 2)
    assert again.expires_at == desk.now + timedelta(seconds=10)
    assert had(desk.acquire("ann", lease_s=1)).expires_at == again.expires_at
    for depth in (2, 1, 0):
        assert had(desk.release("ann", first.fence)).depth == depth
    with pytest.raises(LockNotHeld):
        desk.release("ann", first.fence)
    assert desk.acquire("bob") is not None


def test_fences_ascend_over_all_memories_and_with_the_clock(desk: Desk) -> None:
    first = had(desk.acquire("ann")).fence
    assert first == START_MS
    other = had(desk.acquire("ann", N)).fence
    assert other == first + 1
    desk.later(5)
    assert desk.release("ann", first)
    assert had(desk.acquire("ann")).fence == first + 5_000
    desk.later(-3_600)  # the clock was wrong
    assert had(desk.acquire("cid", ("laptop", "o"))).fence == first + 5_001


def test_a_mutation_carries_the_fence_while_a_lease_lives(desk: Desk) -> None:
    desk.check("bob")
    fence = had(desk.acquire("ann")).fence
    desk.check("ann", fence)
    desk.check("a tool of ann's", fence)
    desk.check("bob", None, N)
    with pytest.raises(MemoryLocked):
        desk.check("bob")
    with pytest.raises(AgentInvalid, match="fence"):
        desk.check("ann")
    with pytest.raises(LockNotHeld):
        desk.check("bob", fence + 1)
    with pytest.raises(StaleFence):
        desk.check("bob", fence - 1)
    desk.release("ann", fence)
    desk.check("bob")
    with pytest.raises(LockNotHeld):
        desk.check("ann", fence)


def test_each_of_several_memories_needs_its_own_fence(desk: Desk) -> None:
    m, n = had(desk.acquire("ann")).fence, had(desk.acquire("ann", N)).fence
    desk.check("ann", {M: m, N: n}, M, N)
    with pytest.raises(StaleFence):
        desk.check("ann", {M: m, N: m}, M, N)
    with pytest.raises(AgentInvalid):
        desk.check("ann", m, M, N)  # one fence is the first's
    with pytest.raises(MemoryLocked):
        desk.check("bob", m, M, N)
    desk.release("ann", n, N)
    desk.check("ann", m, M, N)
    many = [("laptop", str(number)) for number in range(1_000)]
    desk.check("ann", m, M, *many)
    with pytest.raises(MemoryLocked):
        desk.check("bob", None, *many, M)


def test_a_fence_is_stale_once_another_had_the_lock_after_it_ran_out(desk: Desk) -> None:
    ann = had(desk.acquire("ann", lease_s=10)).fence
    desk.later(10)
    with pytest.raises(LockNotHeld):
        desk.check("ann", ann)  # whoever writes without a lock may have written since
    bob = had(desk.acquire("bob"))
    assert bob.fence > ann
    for _ in range(2):
        with pytest.raises(StaleFence):
            desk.check("ann", ann)
        with pytest.raises(StaleFence):
            desk.release("ann", ann)
        with pytest.raises(StaleFence):
            desk.renew("ann", ann)
        if desk.standing().held(desk.now):
            desk.release("bob", bob.fence)


def test_expiry_needs_no_sweeper(desk: Desk) -> None:
    desk.acquire("ann", lease_s=10)
    desk.acquire("bob", lease_s=5, wait_s=60)
    desk.acquire("cid", wait_s=60)
    desk.later(10)
    assert desk.standing().held(desk.now) is None
    assert desk.acquire("cid", wait_s=60) is None  # bob is first
    assert desk.acquire("bob", lease_s=5) is not None
    desk.later(5)
    assert desk.acquire("cid") is not None


def test_a_restart_keeps_leases_and_places(store: Store, tmp_path: Path) -> None:
    desk = Desk(store)
    ann = had(desk.acquire("ann"))
    desk.acquire("bob", wait_s=30)
    desk.acquire("cid", wait_s=30)
    before = desk.standing()
    store.close()
    desk.store = Store(tmp_path / "hub")
    try:
        assert desk.standing() == before
        desk.later(20)
        assert desk.acquire("cid") is None
        desk.release("ann", ann.fence)
        assert desk.acquire("cid") is None
        assert had(desk.acquire("bob")).fence > ann.fence
    finally:
        desk.store.close()


def test_a_lease_that_is_taken_away_leaves_its_fence_good_for_nothing(desk: Desk) -> None:
    ann = had(desk.acquire("ann"))
    had(desk.acquire("ann"))
    desk.acquire("bob")
    desk.store.write(lambda c: leasing.force_release(c, ann, desk.now))
    with pytest.raises(LockNotHeld):
        desk.check("ann", ann.fence)
    with pytest.raises(LockNotHeld):
        desk.release("ann", ann.fence)
    assert desk.acquire("ann") is None
    assert had(desk.acquire("bob")).fence > ann.fence
