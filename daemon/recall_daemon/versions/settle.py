"""What is served of a memory, from the set of its versions alone."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Final, Literal

from recall_daemon.agents.config import Agents, Strategy, categories_of
from recall_daemon.versions.content import hash_of, version_id
from recall_daemon.versions.graph import Graph, Version
from recall_daemon.versions.sentences import merged_text
from recall_daemon.versions.three_way import three_way
from recall_wire.records import Record

StrategyOf = Callable[[Record], Strategy]
Fixed = Mapping[str, Strategy]
NOTHING_FIXED: Final[Fixed] = {}

# The field of a conflict with a version whose content is not here.
CONTENT = "content"


@dataclass(frozen=True)
class Clash:
    """Two versions that say different things in `fields`. `ours` was served when `theirs` came.

    `resolution` None: it is for a person, and what `ours` says is served until then.
    """

    ours: Version
    theirs: Version
    base: Version | None
    fields: tuple[str, ...]
    strategy: Strategy
    winner: Version | None
    resolution: Version | None

    @property
    def conflict_id(self) -> str:
        return conflict_id(self.ours.version_id, self.theirs.version_id)


@dataclass(frozen=True)
class Settled:
    """What is served: `head`, None where the memory is deleted or nothing of it is here.

    `made`: the versions that the hub made to say so; `clashes`: those that are open, or that it
    resolved.
    """

    head: Version | None
    made: tuple[Version, ...] = ()
    clashes: tuple[Clash, ...] = ()


def conflict_id(one: str, other: str) -> str:
    """The name of the conflict of two versions, whichever comes first."""
    return hashlib.sha256("\n".join(sorted((one, other))).encode()).hexdigest()[:32]


def strategy_of(agents: Agents) -> StrategyOf:
    """How a conflict about a memory is resolved: by its categories and its agent."""
    return lambda record: agents.strategy(categories_of(record.tags), record.agent_id)


def settle(graph: Graph, strategy: StrategyOf, fixed: Fixed = NOTHING_FIXED) -> Settled:
    """What is served if all versions had come in the order in which they were written.

    `fixed`: conflicts, by their names, that are resolved as they were before, whatever `strategy`
    says now. A delete by the memory's own system wins. What is made is added to the graph.
    """
    if graph.home is not None and graph.home.is_delete:
        return Settled(None)
    settled = Settled(None)
    for version in graph.said():
        settled = _next(graph, settled, version, strategy, fixed)
    return replace(settled, clashes=_standing(graph, settled))


def _next(
    graph: Graph, settled: Settled, new: Version, strategy: StrategyOf, fixed: Fixed
) -> Settled:
    head = settled.head
    # Most are made of what is served: no history is walked for those, however long it is.
    if head is None or head.version_id in new.grows_from or graph.grew_from(new, head.version_id):
        return replace(settled, head=new)
    if graph.grew_from(head, new.version_id):
        return settled
    found = _joined(graph, head, new, strategy, fixed)
    if isinstance(found, Version):
        graph.add(found)
        return replace(settled, head=found, made=(*settled.made, found))
    made = () if found.resolution is None else (found.resolution,)
    for one in made:
        graph.add(one)
    return Settled(found.resolution or head, (*settled.made, *made), (*settled.clashes, found))


def _standing(graph: Graph, settled: Settled) -> tuple[Clash, ...]:
    """Without those that were open, and whose other side is part of what came later."""
    taken_up = 0 if settled.head is None else graph.history(settled.head)
    standing: list[Clash] = []
    for clash in reversed(settled.clashes):
        is_over = taken_up & graph.bit(clash.theirs.version_id)
        if clash.resolution is not None or not is_over:
            standing.append(clash)
        if clash.resolution is None:
            taken_up |= graph.history(clash.theirs)
    return tuple(reversed(standing))


def _joined(
    graph: Graph, ours: Version, theirs: Version, strategy: StrategyOf, fixed: Fixed
) -> Version | Clash:
    bases = graph.bases(ours, theirs)
    base = bases[-1] if bases else None
    if ours.record is None or theirs.record is None:
        return Clash(ours, theirs, base, (CONTENT,), "manual_review", None, None)
    before = base_record(graph, ours, theirs)
    merged = three_way(before, ours.record, theirs.record)
    if not merged.overlapping:
        return child(ours, theirs, merged.record, "merge")
    chosen = fixed.get(conflict_id(ours.version_id, theirs.version_id))
    # A decision that was undone is made by a call alone; one that stands comes later, and counts.
    if graph.is_in_question(ours, theirs) or graph.is_decided(ours, theirs):
        chosen = "manual_review"
    chosen = chosen or strategy(before or ours.record)
    winner, record = decide(chosen, ours, theirs, before)
    resolution = None if record is None else child(ours, theirs, record, "auto", like=winner)
    return Clash(ours, theirs, base, merged.overlapping, chosen, winner, resolution)


def base_record(graph: Graph, one: Version, other: Version) -> Record | None:
    """What both grew from. Where their histories crossed it is itself merged, the later first."""
    bases = [base for base in graph.bases(one, other) if base.record is not None]
    if not bases:
        return None
    merged, *others = bases
    record = said_by(merged)
    for base in others:
        before = base_record(graph, merged, base)
        record = three_way(before, said_by(base), record).record
        merged = base
    return record


def decide(
    strategy: Strategy, ours: Version, theirs: Version, before: Record | None
) -> tuple[Version | None, Record | None]:
    """Who wins, and what is then said; no record: it is for a person. With no winner, both."""
    if strategy == "manual_review":
        return None, None
    if strategy == "merge_content":
        return None, _by_sentence(before, said_by(ours), said_by(theirs))
    winner = max((ours, theirs), key=lambda one: _key(strategy, one))
    loser = theirs if winner is ours else ours
    return winner, three_way(before, said_by(winner), said_by(loser)).record


def _key(strategy: Strategy, one: Version) -> tuple[object, ...]:
    """What is compared first, then what settles a tie: priority, time, id."""
    tie = (one.priority, one.written_at, one.version_id)
    if strategy == "latest_wins":
        return (one.written_at, *tie)
    if strategy == "highest_importance":
        return (said_by(one).importance or 0.0, *tie)
    return tie


def _by_sentence(before: Record | None, ours: Record, theirs: Record) -> Record | None:
    merged = three_way(before, ours, theirs)
    if before is None or merged.overlapping != ("text",):
        return None
    if before.text is None or ours.text is None or theirs.text is None:
        return None
    text = merged_text(before.text, ours.text, theirs.text)
    return None if text is None else replace(merged.record, text=text)


def child(
    ours: Version,
    theirs: Version,
    record: Record,
    kind: Literal["merge", "auto", "resolution"],
    *,
    like: Version | None = None,
) -> Version:
    """A version that stands for two. It has the weight of `like`; without one, of both."""
    parents = tuple(sorted((ours.version_id, theirs.version_id)))
    hashed = hash_of(record)
    of = (ours, theirs) if like is None else (like,)
    return Version(
        version_id=version_id(parents, hashed),
        parents=parents,
        kind=kind,
        content_hash=hashed,
        record=record,
        author=None,
        agent_id=record.agent_id,
        priority=max(one.priority for one in of),
        written_at=max(one.written_at for one in of),
    )


def said_by(version: Version) -> Record:
    """The content of a version that has it."""
    assert version.record is not None
    return version.record
