"""What may happen to a memory that has versions, drawn evenly."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from random import Random
from typing import Any

from version_model import FIELDS

from recall_daemon.agents.config import Agents, AgentSetting

SETTINGS = [
    AgentSetting(name="late", priority="high"),
    AgentSetting(name="best", priority="medium", conflict_strategy="highest_importance"),
    AgentSetting(name="guard", priority="medium", conflict_strategy="manual_review"),
    AgentSetting(name="rank", priority="low", conflict_strategy="agent_priority"),
]
AGENTS = Agents(SETTINGS)
STRATEGIES = {one.name: one.conflict_strategy or "latest_wins" for one in SETTINGS}

VALUES = {
    "text": ["A.", "B.", "C."],
    "importance": [0.5, 0.25, 0.75],
    "tags": [(), ("x",), ("y",)],
    "a": [1, None, 2],
    "b": [None, 1, 2],
}
FIRST = {name: values[0] for name, values in VALUES.items()}

CHOICES = [None, None, None, *STRATEGIES.values(), "merge_content"]
DECISIONS = [
    *({"choose": "ours"}, {"choose": "theirs"}, {"text": "By hand."}, {"text": "A."}),
    *({"strategy": name} for name in (*STRATEGIES.values(), "merge_content")),
]
# By their weights. One rule draws them all: of several rules hypothesis leaves some out of a run.
ACTS = [
    *(["update"] * 6 + ["edit"] * 4 + ["snapshot"] * 3 + ["resolve"] * 3 + ["undo"] * 2),
    *("post", "again", "unbased", "delete", "restore", "restore", "home_deletes", "forget"),
    "restart",
]


@dataclass(frozen=True)
class Drawn:
    """What an act may need."""

    pick: int
    base: int
    changes: Mapping[str, Any]
    strategy: Any
    decision: Mapping[str, Any]
    own: bool


def draw(run: int, number: int) -> tuple[str, Drawn]:
    """An act, evenly: hypothesis itself would draw the same few for most of a run."""
    chance = Random(f"{run} {number}")
    names = chance.sample(FIELDS, chance.choice((0, 1, 1, 1, 2, 2, 3)))
    return chance.choice(ACTS), Drawn(
        pick=chance.randrange(8),
        base=chance.randrange(8),
        changes={name: chance.choice(VALUES[name]) for name in names},
        strategy=chance.choice(CHOICES),
        decision=chance.choice(DECISIONS),
        own=chance.random() < 0.5,
    )
