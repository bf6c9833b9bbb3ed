"""Conflicts decided, and decisions undone, inside a transaction."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Literal

from recall_daemon.agents.config import Strategy
from recall_daemon.errors import ResolutionInvalid
from recall_daemon.store import conflicts, weigh
from recall_daemon.store.conflicts import Conflict
from recall_daemon.store.store import Connection
from recall_daemon.store.weigh import Held, Weighed
from recall_daemon.versions.graph import DERIVED, Graph, Version
from recall_daemon.versions.settle import StrategyOf, child, decide
from recall_daemon.versions.three_way import three_way
from recall_wire.records import Record

Side = Literal["ours", "theirs"]


@dataclass(frozen=True)
class Decision:
    """How a conflict shall be resolved: by a strategy, for a side, or with a text of one's own."""

    strategy: Strategy | None = None
    choose: Side | None = None
    text: str | None = None

    def __post_init__(self) -> None:
        if sum(value is not None for value in (self.strategy, self.choose, self.text)) != 1:
            raise ResolutionInvalid(
                "a conflict is resolved in one way", hint="say strategy, choose or content"
            )


@dataclass(frozen=True)
class By:
    """Who decides: a name for the log, an agent and its priority, and when; and what the hub does
    about other conflicts."""

    name: str
    agent_id: str | None
    priority: int
    moment: datetime
    strategy: StrategyOf


def decided(
    connection: Connection, held: Held, conflict: Conflict, decision: Decision, by: By
) -> Weighed:
    """Resolve an open conflict. Raises `ResolutionInvalid`."""
    if conflict.state != "open":
        raise ResolutionInvalid(
            f"this conflict is {conflict.state}", hint="undo the resolution to decide anew"
        )
    ours, theirs, base = _sides(held, conflict)
    winner, record = _outcome(decision, ours, theirs, base)
    made = replace(
        child(ours, theirs, record, "resolution", like=winner),
        author=by.name,
        agent_id=by.agent_id,
        priority=by.priority,
        written_at=by.moment,
    )
    weighed = weigh.weigh(connection, held, [made], by.strategy, by.moment)
    done = replace(
        conflict,
        state="resolved",
        strategy=decision.strategy or "manual_review",
        winner=None if winner is None else winner.version_id,
        resolution=made.version_id,
        resolved_at=by.moment,
        resolved_by=by.name,
    )
    conflicts.put(connection, [done], by.moment)
    return weighed


def undone(
    connection: Connection, held: Held, conflict: Conflict, strategy: StrategyOf, now: datetime
) -> Weighed:
    """Have a resolved conflict open again: only an explicit call resolves it from now on.

    Where somebody built on the resolution, what it served goes on, and the side that lost is in
    question against that. Raises `ResolutionInvalid`.
    """
    known = {version.version_id: version for version in held.versions}
    made = known.get(conflict.resolution or "")
    if conflict.state != "resolved" or made is None:
        raise ResolutionInvalid(f"this conflict is {conflict.state}: there is nothing to undo")
    conflicts.put(connection, [replace(conflict, state="superseded", manual=True)], now)
    fresh = weigh.hold(connection, held.system_id, held.memory_id, now)
    if Graph(held.versions).has_heirs(made.version_id):
        lost = conflict.ours if conflict.winner == conflict.theirs else conflict.theirs
        return weigh.change(connection, fresh, replace(made, cut=lost), strategy, now)
    if made.kind in DERIVED:
        return weigh.weigh(connection, fresh, (), strategy, now)
    return weigh.change(connection, fresh, replace(made, withdrawn=True), strategy, now)


def _outcome(
    decision: Decision, ours: Version, theirs: Version, base: Version | None
) -> tuple[Version | None, Record]:
    if decision.strategy == "manual_review":
        raise ResolutionInvalid(
            "manual_review leaves the decision to a person", hint="choose a side, or send content"
        )
    if decision.strategy is not None:
        winner, record = decide(decision.strategy, ours, theirs, base)
        if record is None:
            raise ResolutionInvalid(
                "the two edits overlap, so no strategy can merge them",
                hint="choose ours or theirs, or send the content",
            )
        return winner, record
    winner, other = (theirs, ours) if decision.choose == "theirs" else (ours, theirs)
    assert winner.record is not None
    assert other.record is not None
    said = three_way(base.record if base else None, winner.record, other.record).record
    if decision.text is None:
        return winner, said
    return None, replace(said, text=decision.text)


def _sides(held: Held, conflict: Conflict) -> tuple[Version, Version, Version | None]:
    known = {version.version_id: version for version in held.versions}
    ours, theirs = known.get(conflict.ours), known.get(conflict.theirs)
    if ours is None or theirs is None or ours.record is None or theirs.record is None:
        raise ResolutionInvalid(
            "the content of one side is not here any more", hint="update the memory instead"
        )
    return ours, theirs, known.get(conflict.base or "")
