"""The one way by which the content of a memory that is there becomes another.

Who may, locks, versions, conflicts, the log and the journal: one transaction.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from typing import Any

from recall_daemon.agents.actor import Actor
from recall_daemon.agents.changes import Changes, read_changes
from recall_daemon.agents.config import Agents, Strategy, may_read
from recall_daemon.agents.decisions import By, Decision, decided
from recall_daemon.agents.far import FarRecords
from recall_daemon.agents.naming import Naming, identity
from recall_daemon.errors import AgentInvalid, Forbidden, ResolutionInvalid
from recall_daemon.store import answers, audit_log, lives, locks, versions, weigh
from recall_daemon.store.answers import Key
from recall_daemon.store.audit_log import Act
from recall_daemon.store.conflicts import Conflict
from recall_daemon.store.lives import Life
from recall_daemon.store.store import Connection, Store
from recall_daemon.store.weigh import Held, Weighed
from recall_daemon.versions.graph import Version
from recall_daemon.versions.settle import strategy_of
from recall_daemon.versions.three_way import same
from recall_wire.records import Record

Json = dict[str, Any]


@dataclass(frozen=True)
class Terms:
    """On what terms a memory may be changed.

    `base_version`: the version that the writer knew; None: the one that is served. `fence`: of the
    writer's lock. `strategy`: how a conflict is resolved that this change meets; None: as the hub,
    the category or the agent says.
    """

    base_version: str | None = None
    fence: int | None = None
    strategy: Strategy | None = None


NO_TERMS = Terms()


@dataclass(frozen=True)
class _Asked:
    actor: Actor
    name: str
    changes: Changes
    terms: Terms


class Editing:
    """Blocking; safe from many threads."""

    def __init__(
        self,
        store: Store,
        naming: Naming,
        agents: Agents,
        far: FarRecords,
        *,
        on_changed: Callable[[], None],
        now: Callable[[], datetime],
    ) -> None:
        self._store = store
        self._naming = naming
        self._agents = agents
        self._far = far
        self._on_changed = on_changed
        self._now = now
        self._strategy = strategy_of(agents)

    def update(
        self,
        actor: Actor,
        name: str,
        body: Mapping[str, Any],
        terms: Terms = NO_TERMS,
        *,
        key: Key | None = None,
    ) -> Json:
        """Change a memory; durable when this returns.

        `{memory_id, system_id, version, served, outcome, conflict_id}`: `version` is the one that
        this made, `served` the one that is served now. outcome: `advanced` (it is served),
        `unchanged` (it says what is served already), `merged` (with what others changed meanwhile,
        in other fields), `conflict` (they changed the same fields; `conflict_id` is open, or was
        resolved by a strategy). Raises `MemoryNotFound`, `Forbidden`, `MemoryLocked`, `StaleFence`,
        `AgentInvalid`, `MemoryInvalid`, `KeyReused`, `TransientError` for a cold text that is away.
        """
        changes = read_changes(body, self._now())
        if changes.category in self._agents.restricted(actor.agent_id):
            raise Forbidden(f"the category {changes.category!r} is closed to this agent")
        far = self._far.of(actor, name)
        asked = _Asked(actor, name, changes, terms)

        def work(connection: Connection) -> Json:
            now = self._now()
            act = partial(self._update, connection, asked, far, now)
            return answers.once(connection, key, now, act)

        told = self._store.write(work)
        self._on_changed()
        return told

    def _update(
        self, connection: Connection, asked: _Asked, far: Mapping[int, Record], now: datetime
    ) -> Json:
        actor, terms = asked.actor, asked.terms
        memory = self._naming.find_writable(connection, actor, asked.name)
        name = system_id, memory_id = identity(memory)
        locks.check(connection, [name], holder=actor.holder, fences=terms.fence, now=now)
        text = far.get(memory.row_id)
        held = weigh.hold(connection, system_id, memory_id, now, far=text, agents=self._agents)
        base = _base(held, terms.base_version)
        if not may_read(base.record, self._agents.restricted(actor.agent_id)):
            raise _no_version(base.version_id)
        record = asked.changes.applied(_content(base), now)
        edit = self._edit(record, base, actor, now)
        is_same = _says_the_same(held, record)
        weighed = None if is_same else self._weighed(connection, held, edit, asked, now)
        life = held.life if weighed is None else weighed.life
        is_served = _serves_importance(weighed, record)
        _beside(connection, life, asked.changes, now, is_served=is_served)
        conflict = _conflict_of(weighed, edit)
        told = {
            "memory_id": memory_id,
            "system_id": system_id,
            "version": held.head_id if is_same else edit.version_id,
            "served": life.head or held.head_id,
            "outcome": _outcome(weighed, edit),
            "conflict_id": None if conflict is None else conflict.conflict_id,
        }
        ids = {"id": memory_id, "version": told["version"], "outcome": told["outcome"]}
        audit_log.append(connection, Act(actor.name, "memory.updated", system_id, ids), now)
        return told

    def _weighed(
        self, connection: Connection, held: Held, edit: Version, asked: _Asked, now: datetime
    ) -> Weighed:
        chosen, actor = asked.terms.strategy, asked.actor
        if chosen is None:
            return weigh.weigh(connection, held, [edit], self._strategy, now)
        weighed = weigh.weigh(connection, held, [edit], lambda _: "manual_review", now)
        conflict = _conflict_of(weighed, edit)
        if conflict is None or conflict.state != "open" or chosen == "manual_review":
            return weighed
        by = By(actor.name, actor.agent_id, edit.priority, now, self._strategy)
        name = held.system_id, held.memory_id
        fresh = weigh.hold(connection, *name, now, agents=self._agents)
        try:
            after = decided(connection, fresh, conflict, Decision(strategy=chosen), by)
        except ResolutionInvalid:  # edits that overlap are for a person, whoever asked
            return weighed
        done = replace(conflict, state="resolved", strategy=chosen)
        said = weigh.resolution_said(done)
        act = Act(actor.name, weigh.RESOLVED, held.system_id, said)
        audit_log.append(connection, act, now)
        return replace(after, conflicts=(done,))

    def _edit(self, record: Record, base: Version, actor: Actor, now: datetime) -> Version:
        return versions.edit_version(
            record,
            [base.version_id],
            author=actor.name,
            agent_id=actor.agent_id,
            priority=self._agents.priority(actor.agent_id),
            written_at=now,
        )


def _serves_importance(weighed: Weighed | None, record: Record) -> bool:
    """Whether the importance that an edit names is served."""
    head = None if weighed is None else weighed.settled.head
    served = record if head is None else head.record
    return served is not None and served.importance == record.importance


def _beside(
    connection: Connection, life: Life, changes: Changes, now: datetime, *, is_served: bool
) -> None:
    """What is no content: the pin, and the anchor that the importance falls from, which an edit
    moves whose importance is served."""
    changed = life
    if changes.pinned is not None:
        changed = replace(changed, pinned=changes.pinned)
    if is_served and changes.importance is not None and life.memory_tier is not None:
        changed = replace(changed, anchor_importance=changes.importance, anchored_at=now)
    if changed != life:
        lives.put(connection, [changed], now)


def _base(held: Held, base_version: str | None) -> Version:
    """The version that a change is made of. Raises `AgentInvalid` for one that is not known."""
    wanted = held.head_id if base_version is None else base_version
    for version in held.versions:
        if version.version_id == wanted:
            return version
    raise _no_version(wanted)


def _no_version(wanted: str | None) -> AgentInvalid:
    return AgentInvalid(
        f"the memory has no version {str(wanted)[:40]!r}", hint="read it again, and try again"
    )


def _content(version: Version) -> Record:
    if version.record is None:
        raise AgentInvalid(
            f"the content of version {version.version_id} is not kept any more",
            hint="read the memory again, and send the version it has now",
        )
    return version.record


def _says_the_same(held: Held, record: Record) -> bool:
    head = next((one for one in held.versions if one.version_id == held.head_id), None)
    return head is not None and head.record is not None and same(head.record, record)


def _outcome(weighed: Weighed | None, edit: Version) -> str:
    if weighed is None:
        return "unchanged"
    if _conflict_of(weighed, edit) is not None:
        return "conflict"
    head = weighed.settled.head
    return "advanced" if head is not None and head.version_id == edit.version_id else "merged"


def _conflict_of(weighed: Weighed | None, edit: Version) -> Conflict | None:
    """The one that this change met, if any; else one that came back because of it."""
    met = () if weighed is None else weighed.conflicts
    there = [one for one in met if one.state != "superseded"]
    own = (one for one in there if edit.version_id in (one.theirs, one.ours))
    return next(own, there[0] if there else None)
