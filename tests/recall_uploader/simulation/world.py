"""One seeded world: an instance whose runs fail and die, until the weather clears."""

from __future__ import annotations

import random
from pathlib import Path

from hub import Hub
from ledger import Spooled
from oracle import check
from plan import DAY_S, Plan
from session import Order, Outcome, Place, run
from shared import Shared
from source import Source
from steps import REACH, WEIGHTS, Kill, Kind
from weather import Weather

CALM_RUNS_MAX = 25


class World:
    """Raises AssertionError where anything was lost, doubled or left behind."""

    def __init__(self, folder: Path, seed: int) -> None:
        (folder / "bucket").mkdir(parents=True)
        self.plan = Plan.of(seed)
        self._chance = random.Random(f"world {seed}")
        self.shared = Shared(folder / "diary")
        quarantines = self.plan.quarantines
        hub = Hub(folder / "hub", random.Random(f"hub {seed}"), quarantines=quarantines)
        self._place = Place(folder, self.plan, self.shared, hub)
        self._source = Source(self._place.source, random.Random(f"source {seed}"))
        self._forgotten: list[str] = []
        self._spooled = Spooled(
            self._place.state / "outbox", self._place.bucket(), voids=self.plan.ages
        )
        self._runs = 0

    def live(self) -> None:
        """The whole story, and what must be true at its end."""
        self.shared.tell(f"plan: {self.plan}")
        for _ in range(self.plan.runs):
            self._bad_day()
        self._calm()
        check(self._place, self._source, self._spooled, self._forgotten)

    def _bad_day(self) -> None:
        if self._chance.random() < 0.8:
            self.shared.tell(f"source: {self._source.rewrite()}")
        if not self._source.content:
            self._source.rewrite()
        self._pass_time()
        self._run(
            Order(
                number=self._runs,
                forgets=self._to_forget(),
                confirm_deletes=self._chance.random() < 0.8,
                kill=self._kill(),
                bucket_weather=Weather(random.Random(self._chance.random()), down=self._down()),
                hub_weather=Weather(random.Random(self._chance.random())),
            )
        )
        if self._has_hub and self._chance.random() < 0.5:
            self._place.hub.poll(self._place.bucket())

    def _calm(self) -> None:
        """No faults, no kills: until there is nothing left to do."""
        self.shared.jump_s = 0.0
        self.shared.tell("the weather is fair from here on")
        if self._forgotten:
            self._run(Order(self._runs, forgets=tuple(self._forgotten)))
        for _ in range(CALM_RUNS_MAX):
            self.shared.sleep(120.0)  # longer than a breaker stays open
            outcome = self._run(Order(self._runs))
            assert not outcome.error, f"it fails without a fault: {outcome.error}"
            news = self._has_hub and self._place.hub.poll(self._place.bucket())
            if outcome.status == "unchanged" and not news:
                return
        raise AssertionError(f"after {CALM_RUNS_MAX} calm runs there is still something to send")

    def _run(self, order: Order) -> Outcome:
        what = f"forget {' '.join(order.forgets)}" if order.forgets else "upload"
        self.shared.tell(f"run {self._runs}: {what}; {order.kill}; {order.bucket_weather}")
        self._runs += 1
        outcome = run(self._place, order)
        self.shared.tell(f"  -> {outcome}")
        self._spooled.look()
        self._spooled.judge(outcome)
        if not order.forgets:
            self._spooled.witness(outcome, self._source.content)
        return outcome

    def _pass_time(self) -> None:
        """Minutes, or days; the machine's own clock may jump besides."""
        self.shared.sleep(self._chance.choice((30.0, 600.0, DAY_S, 3 * DAY_S)))
        if self.plan.clock_jumps:
            self.shared.jump_s = DAY_S * self._chance.choice((0, -1, -20, 20))

    def _to_forget(self) -> tuple[str, ...]:
        if not self.plan.forgets or self._chance.random() < 0.7:
            return ()
        ids = sorted(self._source.history)
        chosen = self._chance.sample(ids, min(len(ids), self._chance.randint(1, 4)))
        self._forgotten = list(dict.fromkeys([*self._forgotten, *chosen]))
        return tuple(chosen)

    def _down(self) -> bool:
        """Often where there is another way, so that it is gone, or where what waits grows old."""
        return self._chance.random() < (0.5 if self.plan.pushes or self.plan.ages else 0.1)

    def _kill(self) -> Kill | None:
        if self._chance.random() >= self.plan.kill_chance:
            return None
        weights = {**WEIGHTS, "hub": WEIGHTS["hub"] * 8 if self.plan.pushes else 0}
        kind: Kind = self._chance.choices(list(weights), list(weights.values()))[0]
        return Kill(kind, self._chance.randint(1, REACH[kind]))

    @property
    def _has_hub(self) -> bool:
        return self.plan.pushes or self.plan.quarantines
