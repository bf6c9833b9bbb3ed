"""New versions of a memory weighed against those it has, in one transaction."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from recall_daemon.agents.config import NO_AGENTS, Agents, Strategy
from recall_daemon.store import audit_log, conflicts, events, lives, versions
from recall_daemon.store.audit_log import Act
from recall_daemon.store.conflicts import Conflict
from recall_daemon.store.lives import Life
from recall_daemon.store.store import Connection
from recall_daemon.store.versions import Change, Row
from recall_daemon.versions.content import hash_of
from recall_daemon.versions.graph import NOT_LOOKED_UP, Graph, Version
from recall_daemon.versions.settle import Clash, Settled, StrategyOf, settle
from recall_wire.records import Record


@dataclass(frozen=True)
class Weighed:
    """What is served now, and the conflicts that were met or changed by it."""

    settled: Settled
    conflicts: tuple[Conflict, ...]
    life: Life

    @property
    def open(self) -> tuple[Conflict, ...]:
        return tuple(one for one in self.conflicts if one.state == "open")


@dataclass(frozen=True)
class Held:
    """A memory as it is before something is done to it. `stored`: the versions that were kept."""

    system_id: str
    memory_id: str
    row: Row | None
    life: Life
    versions: tuple[Version, ...]
    stored: tuple[Version, ...]
    conflicts: tuple[Conflict, ...]

    @property
    def head_id(self) -> str | None:
        """The version that is served; None where nothing is."""
        if self.life.head is not None:
            return self.life.head
        return self.row.version_id if self.row is not None and self.row.is_live else None


def hold(
    connection: Connection,
    system_id: str,
    memory_id: str,
    now: datetime,
    *,
    far: Record | None = None,
    agents: Agents = NO_AGENTS,
) -> Held:
    """The memory with its versions; one whose row was all there was of it has that as the first.

    `far` is the content of a cold row, where it was fetched; `agents`, for who weighs it, say which
    priority a version has that was taken as it came.
    """
    row = versions.find_row(connection, system_id, memory_id)
    life = lives.find(connection, system_id, memory_id)
    kept = stored = versions.load(connection, system_id, memory_id)
    if row is not None and row.state != "forgotten" and not life.is_weighed:
        own = versions.home_version(system_id, row, far, now)
        kept = _with(kept, own)
    kept = [_looked_up(version, agents) for version in kept]
    found = conflicts.of_memory(connection, system_id, memory_id)
    return Held(system_id, memory_id, row, life, tuple(kept), tuple(stored), tuple(found))


def weigh(
    connection: Connection,
    held: Held,
    new: Sequence[Version],
    strategy: StrategyOf,
    now: datetime,
    *,
    manual: Iterable[str] = (),
) -> Weighed:
    """Add versions to a memory, or change some it has, and serve what then follows from all.

    Idempotent. A memory that an agent deleted stays so, whatever comes. `manual`: conflicts that
    from now on only an explicit call resolves.
    """
    kept = list(held.versions)
    for version in new:
        kept = _with(kept, version)
    by_hand = {one.conflict_id for one in held.conflicts if one.manual} | set(manual)
    fixed = _fixed(held.conflicts) | dict.fromkeys(by_hand, "manual_review")
    settled = settle(Graph(kept), strategy, fixed)
    for version in settled.made:
        kept = _with(kept, version)
    met = _conflicts(held, settled.clashes, by_hand, now)
    life = _write(connection, held, kept, settled, now)
    if met:
        conflicts.put(connection, met, now)
        _tell(connection, met, now)
        _note(connection, held, met, now)
    life = _anchored(connection, held, settled.head, life, now)
    return Weighed(settled, tuple(met), life)


def change(
    connection: Connection,
    held: Held,
    changed: Version,
    strategy: StrategyOf,
    now: datetime,
    *,
    manual: Iterable[str] = (),
) -> Weighed:
    """As `weigh`, with a version that it has in another state."""
    kept = [one for one in held.versions if one.version_id != changed.version_id]
    with_it = replace(held, versions=(*kept, changed))
    return weigh(connection, with_it, (), strategy, now, manual=manual)


def _looked_up(version: Version, agents: Agents) -> Version:
    if version.priority != NOT_LOOKED_UP:
        return version
    return replace(version, priority=agents.priority(version.agent_id))


def _with(kept: Sequence[Version], new: Version) -> list[Version]:
    others = [one for one in kept if one.version_id != new.version_id]
    known = next((one for one in kept if one.version_id == new.version_id), None)
    return [*others, new if known is None else versions.joined(known, new)]


def _write(
    connection: Connection, held: Held, kept: Sequence[Version], settled: Settled, now: datetime
) -> Life:
    before = {one.version_id: one for one in held.stored}
    head = settled.head
    gone = head is None or held.life.deletion_id is not None
    says = None if head is None or gone else head.record
    served = _NOTHING if head is None else head.version_id
    life = replace(held.life, head=served)
    change = Change(
        new=[one for one in kept if one.version_id not in before],
        changed=[one for one in kept if one != before.get(one.version_id, one)],
        serve=None if says is None or _says(held.row, says) else says,
        delete=gone and (held.row is None or held.row.is_live),
        life=None if life == held.life else life,
        known=None if held.row is None else held.row.known,
    )
    versions.keep(connection, held.system_id, held.memory_id, change, now)
    return life


def _anchored(
    connection: Connection, held: Held, head: Version | None, life: Life, now: datetime
) -> Life:
    """Where another importance is served, it falls from that one and from now on."""
    before = next((one for one in held.versions if one.version_id == held.head_id), None)
    if life.memory_tier is None or head is None or before is None:
        return life
    if head.record is None or before.record is None:
        return life
    importance = head.record.importance
    if importance in (None, before.record.importance):
        return life
    anchored = replace(life, anchor_importance=importance, anchored_at=now)
    lives.put(connection, [anchored], now)
    return anchored


# Who resolves what a strategy decides.
HUB = "hub"
# What the audit log calls it.
RESOLVED = "conflict.resolved"

# The head of a memory that its own system deleted: it is weighed all the same.
_NOTHING = ""


def _says(row: Row | None, record: Record) -> bool:
    return row is not None and row.is_live and row.content_hash == hash_of(record)


def _fixed(known: Iterable[Conflict]) -> dict[str, Strategy]:
    """How conflicts are resolved that were met before: as they were then, and as long as somebody's
    own decision about one is a version of its own, not by the hub."""
    return {
        one.conflict_id: one.strategy if one.resolved_by in (None, HUB) else "manual_review"
        for one in known
    }


def _conflicts(
    held: Held, clashes: Sequence[Clash], manual: set[str], now: datetime
) -> list[Conflict]:
    """Those that changed."""
    before = {one.conflict_id: one for one in held.conflicts}
    met = [_conflict(held, clash, before.get(clash.conflict_id), manual, now) for clash in clashes]
    still = {one.conflict_id for one in met}
    passed = [
        replace(one, state="superseded")
        for one in held.conflicts
        if one.conflict_id not in still and (one.state == "open" or one.resolved_by == HUB)
    ]
    return [one for one in (*met, *passed) if one != before.get(one.conflict_id)]


def _conflict(
    held: Held, clash: Clash, before: Conflict | None, manual: set[str], now: datetime
) -> Conflict:
    done = clash.resolution
    return Conflict(
        conflict_id=clash.conflict_id,
        system_id=held.system_id,
        memory_id=held.memory_id,
        base=None if clash.base is None else clash.base.version_id,
        ours=clash.ours.version_id,
        theirs=clash.theirs.version_id,
        fields=clash.fields,
        state="open" if done is None else "resolved",
        strategy=clash.strategy,
        winner=None if clash.winner is None else clash.winner.version_id,
        resolution=None if done is None else done.version_id,
        manual=clash.conflict_id in manual,
        detected_at=now if before is None else before.detected_at,
        resolved_at=None if done is None else (before and before.resolved_at) or now,
        resolved_by=None if done is None else HUB,
    )


def _tell(connection: Connection, met: Sequence[Conflict], now: datetime) -> None:
    for one in met:
        body = {
            "memory_id": one.memory_id,
            "conflict_id": one.conflict_id,
            "state": one.state,
            "fields": list(one.fields),
            "strategy": one.strategy,
        }
        events.append(connection, "conflict", one.system_id, body, now)


def _note(connection: Connection, held: Held, met: Sequence[Conflict], now: datetime) -> None:
    """What the hub resolved, and had not yet."""
    before = {one.conflict_id: one.resolution for one in held.conflicts}
    for one in met:
        is_new = one.resolution != before.get(one.conflict_id)
        if one.state == "resolved" and one.resolved_by == HUB and is_new:
            said = resolution_said(one)
            audit_log.append(connection, Act(HUB, RESOLVED, one.system_id, said), now)


def resolution_said(one: Conflict) -> dict[str, object]:
    """What the audit log says of a resolved conflict."""
    return {"conflict": one.conflict_id, "ids": [one.memory_id], "strategy": one.strategy}
