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
from recall_daemon.versions.graph import Graph, Version
from recall_daemon.versions.settle import StrategyOf, base_record, child, decide, said_by
from recall_daemon.versions.three_way import three_way, with_fields
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
    """Resolve an open conflict, which for our side is about what is served now.

    Raises `ResolutionInvalid`.
    """
    if conflict.state != "open":
        raise ResolutionInvalid(
            f"this conflict is {conflict.state}", hint="undo the resolution to decide anew"
        )
    graph = Graph(held.versions)
    ours, theirs = _side(graph, conflict.ours), _side(graph, conflict.theirs)
    head = _side(graph, held.head_id or "")
    standing = _standing(conflict, ours, head, theirs)
    winner, said = _said(decision, graph, standing, theirs)
    before = base_record(graph, head, theirs)
    both = three_way(before, said_by(head), said_by(theirs)).record
    fields = conflict.fields if decision.text is None else {*conflict.fields, "text"}
    made = replace(
        child(head, theirs, with_fields(both, said, fields), "resolution", like=winner),
        author=by.name,
        agent_id=by.agent_id,
        priority=by.priority,
        written_at=by.moment,
    )
    by_hand = [conflict.conflict_id]
    weighed = weigh.weigh(connection, held, [made], by.strategy, by.moment, manual=by_hand)
    done = replace(
        conflict,
        state="resolved",
        strategy=decision.strategy or "manual_review",
        winner=None if winner is None else (theirs if winner is theirs else ours).version_id,
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

    Where somebody built on the resolution, what they said is served on, and the other side is in
    question against it; where they built on the other side, that is what is in question. Raises
    `ResolutionInvalid`.
    """
    made = Graph(held.versions).by_id.get(conflict.resolution or "")
    if conflict.state != "resolved" or made is None:
        raise ResolutionInvalid(f"this conflict is {conflict.state}: there is nothing to undo")
    undone_one = replace(made, withdrawn=True, cut=conflict.theirs)
    by_hand = [conflict.conflict_id]
    weighed = weigh.change(connection, held, undone_one, strategy, now, manual=by_hand)
    waiting = [one for one in weighed.settled.clashes if one.resolution is None]
    graph = Graph((*held.versions, *weighed.settled.made, undone_one))
    if not any(graph.grew_from(one.theirs, conflict.theirs) for one in waiting):
        raise ResolutionInvalid(
            "somebody has built on both sides since", hint="update the memory instead"
        )
    if all(one.conflict_id != conflict.conflict_id for one in waiting):
        # What was built on the other side is what is in question now.
        conflicts.put(connection, [replace(conflict, state="superseded", manual=True)], now)
    return weighed


def _said(
    decision: Decision, graph: Graph, ours: Version, theirs: Version
) -> tuple[Version | None, Record]:
    """Whose word counts in what they differ, and what is said there."""
    if decision.choose is not None:
        winner = theirs if decision.choose == "theirs" else ours
        return winner, said_by(winner)
    if decision.text is not None:
        return None, replace(said_by(ours), text=decision.text)
    if decision.strategy is None or decision.strategy == "manual_review":
        raise ResolutionInvalid(
            "manual_review leaves the decision to a person", hint="choose a side, or send content"
        )
    won, record = decide(decision.strategy, ours, theirs, base_record(graph, ours, theirs))
    if won is not None:
        return won, said_by(won)
    if record is None:
        raise ResolutionInvalid(
            "the two edits overlap, so no strategy can merge them",
            hint="choose ours or theirs, or send the content",
        )
    return won, record


def _standing(conflict: Conflict, ours: Version, head: Version, theirs: Version) -> Version:
    """Our side as it is now: what the head says, but where that is the other side's word, from a
    resolution that was undone."""
    theirs_too = [f for f in conflict.fields if not _differs(f, said_by(head), said_by(theirs))]
    own = [name for name in conflict.fields if name not in theirs_too]
    if not any(_differs(name, said_by(ours), said_by(head)) for name in own):
        return ours
    return replace(head, record=with_fields(said_by(head), said_by(ours), theirs_too))


def _differs(field: str, one: Record, other: Record) -> bool:
    return with_fields(one, one, [field]) != with_fields(one, other, [field])


def _side(graph: Graph, version_id: str) -> Version:
    version = graph.by_id.get(version_id)
    if version is None or version.record is None:
        raise ResolutionInvalid(
            "the content of one side is not here any more", hint="update the memory instead"
        )
    return version
