"""What is wrong with the line to a server during one run, call by call."""

from __future__ import annotations

import random
import threading
from dataclasses import dataclass
from typing import Literal

Fault = Literal["cut", "torn", "throttled", "conflict", "hang", "refused", "lie", "lost", "late"]
# Before the call was made: cut, throttled, conflict, hang, refused. Instead of it: lie. After it
# had worked: lost, late; torn is a listing of which only the beginning arrived.
_PASSING: tuple[Fault, ...] = (
    "cut",
    "torn",
    "throttled",
    "conflict",
    "hang",
    "lost",
    "lost",
    "late",
)
# One kind of call that fails by itself: by chance too rare between steps that must agree.
_SORE_SPOTS = ("heads/", "manifest.json", "put", "create", "complete", "abort", "uploads", "list")
_LASTING: tuple[Fault, ...] = ("cut", "throttled", "hang", "refused", "lie", "lie", "lost")


@dataclass(frozen=True, slots=True)
class Spell:
    """The same fault for a while: from one call up to another, of all calls or of one kind."""

    first: int
    last: int
    fault: Fault
    only: str = ""

    def __str__(self) -> str:
        return f"{self.fault} from call {self.first} to {self.last}, of {self.only or 'all'}"


class Weather:
    """Drawn from the seed. `down`: no call gets through; `Weather.fair()`: every call does."""

    def __init__(self, chance: random.Random, *, down: bool = False) -> None:
        self._chance = chance
        self._rate = chance.choice((0.0, 0.0, 0.03, 0.1, 0.3))
        self._spells = [self._spell() for _ in range(chance.choice((0, 0, 1, 1, 2)))]
        if chance.random() < 0.3:
            spot, fault = chance.choice(_SORE_SPOTS), chance.choice(_LASTING)
            self._spells.append(Spell(1, 1_000, fault, spot))
        if down:
            self._spells.insert(0, Spell(1, 1_000, "cut"))
        self._calls = 0
        self._lock = threading.Lock()

    @classmethod
    def fair(cls) -> Weather:
        calm = cls(random.Random(0))
        calm._rate, calm._spells = 0.0, []
        return calm

    def fault(self, what: str) -> Fault | None:
        """Of the next call, which does `what`."""
        with self._lock:
            self._calls += 1
            for spell in self._spells:
                if spell.first <= self._calls <= spell.last and spell.only in what:
                    return spell.fault
            if self._chance.random() < self._rate:
                return self._chance.choice(_PASSING)
            return None

    def wait_s(self) -> float:
        """What a server asks for that wants fewer requests."""
        with self._lock:
            return self._chance.choice((0.1, 2.0, 30.0))

    def __str__(self) -> str:
        return "; ".join([f"{self._rate:.0%} of the calls fail", *map(str, self._spells)])

    def _spell(self) -> Spell:
        first = self._chance.choice((1, self._chance.randint(1, 40)))
        last = first + self._chance.choice((0, 2, 10, 1_000))
        return Spell(first, last, self._chance.choice(_LASTING))
