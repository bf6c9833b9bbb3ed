"""What is served of a memory, from the set of its versions alone."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from typing import Literal

from recall_daemon.agents.config import Agents, Strategy, categories_of
from recall_daemon.versions.content import hash_of, version_id
from recall_daemon.versions.graph import Graph, Version
from recall_daemon.versions.sentences import merged_text
from recall_daemon.versions.three_way import Merged, three_way
from recall_wire.records import Record

StrategyOf = Callable[[Record], Strategy]

# The field of a conflict with a version whose content is not here.
CONTENT = "content"


@dataclass(frozen=True)
class Clash:
    """Two versions that say different things. `ours` is the one that began first.

    `resolution` None: it is for a person, and `ours` is served until then.
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

    `made`: the versions that the hub made to say so; `clashes`: what it met on the way.
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


def settle(graph: Graph, strategy: StrategyOf, manual: Collection[str] = ()) -> Settled:
    """Fold the leaves into one, in the order in which they were written.

    `manual`: conflicts that only a person resolves. A delete by the memory's own system wins.
    """
    if graph.home is not None and graph.home.is_delete:
        return Settled(None)
    leaves = graph.leaves()
    head = leaves[0] if leaves else None
    made: list[Version] = []
    clashes: list[Clash] = []
    for leaf in leaves[1:]:
        assert head is not None
        known = Graph([*graph.by_id.values(), *made])
        found = _joined(known, head, leaf, strategy, manual)
        if isinstance(found, Clash):
            clashes.append(found)
            head = found.resolution or found.ours
            made += [] if found.resolution is None else [found.resolution]
        else:
            head = found
            made.append(found)
    return Settled(head, tuple(made), tuple(clashes))


def _joined(
    graph: Graph, head: Version, leaf: Version, strategy: StrategyOf, manual: Collection[str]
) -> Version | Clash:
    ours, theirs = sorted((head, leaf), key=lambda one: _branch(graph, one, head, leaf))
    base = graph.base(ours, theirs)
    if ours.record is None or theirs.record is None:
        return Clash(ours, theirs, base, (CONTENT,), "manual_review", None, None)
    merged = three_way(base.record if base else None, _said(ours), _said(theirs))
    if not merged.overlapping:
        return child(ours, theirs, merged.record, "merge")
    chosen = strategy(base.record if base and base.record else _said(ours))
    is_manual = (
        conflict_id(ours.version_id, theirs.version_id) in manual
        or ours.version_id in graph.revived
        or theirs.version_id in graph.revived
    )
    chosen = "manual_review" if is_manual else chosen
    winner, record = _decided(chosen, ours, theirs, base, merged)
    resolution = None if record is None else child(ours, theirs, record, "auto", like=winner)
    return Clash(ours, theirs, base, merged.overlapping, chosen, winner, resolution)


def _branch(graph: Graph, one: Version, head: Version, leaf: Version) -> tuple[object, ...]:
    return graph.began_at(one, leaf if one is head else head)


def decide(
    strategy: Strategy, ours: Version, theirs: Version, base: Version | None
) -> tuple[Version | None, Record | None]:
    """Who wins, and what is then said; no record: it is for a person. With no winner, both."""
    merged = three_way(base.record if base else None, _said(ours), _said(theirs))
    return _decided(strategy, ours, theirs, base, merged)


def _decided(
    strategy: Strategy, ours: Version, theirs: Version, base: Version | None, merged: Merged
) -> tuple[Version | None, Record | None]:
    if strategy == "manual_review":
        return None, None
    if strategy == "merge_content":
        return None, _by_sentence(ours, theirs, base, merged)
    winner = max((ours, theirs), key=lambda one: _key(strategy, one))
    loser = theirs if winner is ours else ours
    said = three_way(base.record if base else None, _said(winner), _said(loser))
    return winner, said.record


def _key(strategy: Strategy, one: Version) -> tuple[object, ...]:
    """What is compared first, then what settles a tie: priority, time, id."""
    tie = (one.priority, one.written_at, one.version_id)
    if strategy == "latest_wins":
        return (one.written_at, *tie)
    if strategy == "highest_importance":
        return (_said(one).importance or 0.0, *tie)
    return tie


def _by_sentence(
    ours: Version, theirs: Version, base: Version | None, merged: Merged
) -> Record | None:
    before = base.record.text if base and base.record else None
    one, other = _said(ours).text, _said(theirs).text
    if merged.overlapping != ("text",) or before is None or one is None or other is None:
        return None
    text = merged_text(before, one, other)
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


def _said(version: Version) -> Record:
    assert version.record is not None
    return version.record
