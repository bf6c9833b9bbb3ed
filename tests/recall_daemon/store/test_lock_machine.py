"""Leases, lines and fences against a model of a page: holders, restarts, a clock by hand."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    rule,
    run_state_machine_as_test,
)

from recall_daemon.errors import AgentInvalid, LockNotHeld, MemoryLocked, StaleFence
from recall_daemon.store import leasing, locks
from recall_daemon.store.leasing import Claim, Proof
from recall_daemon.store.store import Store
from recall_wire.errors import RecallError

SOAK = os.environ.get("RECALLD_TEST_SOAK") == "1"
STEPS = 50
EXAMPLES = 200 if SOAK else 6  # 10,000 steps, or 300

START = datetime(2026, 1, 1, tzinfo=UTC)
MEMORIES = [("laptop", "m"), ("zebra", "m")]
HOLDERS = ["ann", "bob", "cid"]

names, holders = st.sampled_from(MEMORIES), st.sampled_from(HOLDERS)
leases, waits = st.sampled_from([30, 5, 1]), st.sampled_from([60, 10, 0])
passing = st.sampled_from([1, 4, 0, 26])
# Which fence is sent: the memory's newest, none, one before it, one that was never given.
which = st.sampled_from(["newest", "none", "before", "never"])


@dataclass
class Model:
    """One memory's lock, as the text says it. Times are seconds since the start."""

    fence: int = 0
    holder: str | None = None
    depth: int = 0
    ends: int = 0
    line: list[tuple[str, int]] = field(default_factory=list)

    def pass_time(self, now: int) -> None:
        self.line = [(who, until) for who, until in self.line if until > now]
        if self.ends <= now:
            self.holder = None

    def acquire(self, who: str, lease: int, until: int, now: int, fence: int) -> None:
        places = dict(self.line)
        if self.holder == who:
            self.depth += 1
            self.ends = max(self.ends, now + lease)
        elif self.holder is None and (not self.line or self.line[0][0] == who):
            self.holder, self.depth, self.ends, self.fence = who, 1, now + lease, fence
            self.line = self.line[1:]
        elif until > places.get(who, now):
            places[who] = until
            self.line = list(places.items())

    def release(self) -> None:
        self.depth -= 1
        self.holder = self.holder if self.depth else None

    def refusal(self, fence: int) -> type[RecallError]:
        return StaleFence if fence < self.fence else LockNotHeld

    def of_own(self, who: str, fence: int) -> type[RecallError] | None:
        """Why a renewal or a release is refused."""
        return None if (self.holder, self.fence) == (who, fence) else self.refusal(fence)

    def of_mutation(self, who: str, fence: int | None) -> type[RecallError] | None:
        """Why a mutation is refused."""
        if fence is not None:
            is_proof = self.holder is not None and fence == self.fence
            return None if is_proof else self.refusal(fence)
        if self.holder is None:
            return None
        return AgentInvalid if self.holder == who else MemoryLocked


# By their weights. One rule draws them all: of several rules hypothesis leaves some out of a run.
ACTS = [
    *(["acquire"] * 5 + ["release_own"] * 3 + ["mutate"] * 3 + ["wait"] * 2),
    *("release", "renew", "leave", "force_release", "restart"),
]


@dataclass(frozen=True)
class Drawn:
    """What an act may need."""

    name: tuple[str, str]
    other: tuple[str, str]
    who: str
    lease: int
    wait: int
    passing: int
    fences: tuple[str, str]


drawn = st.builds(Drawn, names, names, holders, leases, waits, passing, st.tuples(which, which))


class Machine(RuleBasedStateMachine):
    """The store does what the model does, and refuses what it refuses, with the same error."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.store = Store(self.made(Path(self.folder.name)))
        self.models = {name: Model() for name in MEMORIES}
        self.elapsed = 0
        self.given = [0]

    def made(self, folder: Path) -> Path:
        """A folder with a store without rows."""
        return folder

    def teardown(self) -> None:
        self.store.close()
        self.folder.cleanup()

    @property
    def now(self) -> datetime:
        return START + timedelta(seconds=self.elapsed)

    def fence(self, name: tuple[str, str], which: str) -> int:
        newest = self.models[name].fence
        older = [fence for fence in self.given if fence < newest]
        return {"newest": newest, "before": max(older, default=0)}.get(which, self.given[-1] + 1)

    def agree(self, expected: type[RecallError] | None, work: Callable[[Any], object]) -> None:
        if expected is None:
            self.store.write(work)
            return
        with pytest.raises(expected) as caught:
            self.store.write(work)
        assert type(caught.value) is expected

    @rule(act=st.sampled_from(ACTS), drawn=drawn)
    def do(self, act: str, drawn: Drawn) -> None:
        getattr(self, act)(drawn)

    def acquire(self, drawn: Drawn) -> None:
        model, until = self.models[drawn.name], self.elapsed + drawn.wait
        fence = max(self.given[-1] + 1, int(self.now.timestamp() * 1000))
        model.acquire(drawn.who, drawn.lease, until, self.elapsed, fence)
        if model.fence == fence:
            self.given.append(fence)
        lease, ends = timedelta(seconds=drawn.lease), START + timedelta(seconds=until)
        claim = Claim(drawn.name, drawn.who, lease, ends)
        self.store.write(lambda c: leasing.acquire(c, claim, self.now))

    def release(self, drawn: Drawn) -> None:
        model, proof = self.models[drawn.name], self.proof(drawn)
        refused = model.of_own(drawn.who, proof.fence)
        self.agree(refused, lambda c: leasing.release(c, proof, self.now))
        if refused is None:
            model.release()

    def release_own(self, drawn: Drawn) -> None:
        """So that locks are handed on often."""
        model = self.models[drawn.name]
        if model.holder is not None:
            proof = Proof(drawn.name, model.holder, model.fence)
            self.store.write(lambda c: leasing.release(c, proof, self.now))
            model.release()

    def renew(self, drawn: Drawn) -> None:
        model, proof = self.models[drawn.name], self.proof(drawn)
        refused, lease = model.of_own(drawn.who, proof.fence), timedelta(seconds=drawn.lease)
        self.agree(refused, lambda c: leasing.renew(c, proof, self.now, lease))
        if refused is None:
            model.ends = max(model.ends, self.elapsed + drawn.lease)

    def leave(self, drawn: Drawn) -> None:
        model = self.models[drawn.name]
        model.line = [place for place in model.line if place[0] != drawn.who]
        self.store.write(lambda c: leasing.leave(c, drawn.name, drawn.who, self.now))

    def force_release(self, drawn: Drawn) -> None:
        held = self.standing(drawn.name).held(self.now)
        assert (held is None) == (self.models[drawn.name].holder is None)
        if held is not None:
            self.store.write(lambda c: leasing.force_release(c, held, self.now))
            self.models[drawn.name].holder = None

    def mutate(self, drawn: Drawn) -> None:
        """Of two memories in one transaction, with the fences of both, of one, or without."""
        sent = dict(zip((drawn.name, drawn.other), drawn.fences, strict=True))
        fences = {name: self.fence(name, which) for name, which in sent.items() if which != "none"}
        reasons = [self.models[name].of_mutation(drawn.who, fences.get(name)) for name in sent]
        self.agree(
            next((reason for reason in reasons if reason is not None), None),
            lambda c: locks.check(c, [*sent], holder=drawn.who, fences=fences, now=self.now),
        )

    def wait(self, drawn: Drawn) -> None:
        self.elapsed += drawn.passing
        for model in self.models.values():
            model.pass_time(self.elapsed)

    def restart(self, _: Drawn) -> None:
        self.store.close()
        self.store = Store(Path(self.folder.name))

    def proof(self, drawn: Drawn) -> Proof:
        return Proof(drawn.name, drawn.who, self.fence(drawn.name, drawn.fences[0]))

    @invariant()
    def all_stands_as_the_model_says(self) -> None:
        assert self.given == sorted(set(self.given))
        for name, model in self.models.items():
            stands = self.standing(name)
            held = stands.held(self.now)
            assert (stands.lock.fence if stands.lock else 0) == model.fence
            assert (held.holder if held else None) == model.holder
            if held is not None:
                ends = START + timedelta(seconds=model.ends)
                assert (held.depth, held.expires_at) == (model.depth, ends)
            line = [(w.holder, int((w.waits_until - START).total_seconds())) for w in stands.line]
            assert line == model.line

    def standing(self, name: tuple[str, str]) -> locks.Standing:
        with self.store.look_up() as connection:
            return locks.standing(connection, name, self.now)


@pytest.mark.timeout(1800)
def test_locks_do_what_the_model_does(with_store: Callable[[Path], Path]) -> None:
    class Here(Machine):
        def made(self, folder: Path) -> Path:
            return with_store(folder)

    run_state_machine_as_test(
        Here,
        settings=settings(
            max_examples=EXAMPLES,
            stateful_step_count=STEPS,
            deadline=None,
            database=None,
            phases=[Phase.generate, *([Phase.shrink] if SOAK else [])],  # that takes minutes
            suppress_health_check=list(HealthCheck),
        ),
    )
