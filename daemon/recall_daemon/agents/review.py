"""The versions of a memory as they are shown, and the queue of conflicts that wait for somebody."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from functools import partial
from typing import Any, Final

from recall_daemon.agents.actor import Actor
from recall_daemon.agents.config import Agents, may_read
from recall_daemon.agents.decisions import By, Decision, decided, undone
from recall_daemon.agents.naming import Naming, identity, rows_of
from recall_daemon.errors import ConflictNotFound
from recall_daemon.store import answers, audit_log, conflicts, locks, weigh
from recall_daemon.store.answers import Key
from recall_daemon.store.audit_log import Act
from recall_daemon.store.conflicts import Conflict, State
from recall_daemon.store.moment import one_moment
from recall_daemon.store.showing import Memory
from recall_daemon.store.store import Connection, Store
from recall_daemon.store.weigh import Held
from recall_daemon.versions.content import FIELDS
from recall_daemon.versions.graph import Version
from recall_daemon.versions.sentences import diff
from recall_daemon.versions.settle import strategy_of
from recall_wire.formats.values import load_json
from recall_wire.records import Record

Json = dict[str, Any]

LIMIT_MAX: Final = 100
# Conflicts are read so many at a time, until enough may be seen.
_PAGE: Final = 200


# Who read which memories.
Note = Callable[[Actor, Sequence[Memory]], None]


def _nobody(actor: Actor, read: Sequence[Memory]) -> None:
    """Nobody wants to know what was read."""


@dataclass(frozen=True)
class Place:
    """Where a list of conflicts goes on: after the one that was met then."""

    detected_at: datetime
    conflict_id: str


class Review:
    """Blocking; safe from many threads. `note` is told whose content was read."""

    def __init__(
        self,
        store: Store,
        naming: Naming,
        agents: Agents,
        *,
        note: Note = _nobody,
        on_changed: Callable[[], None],
        now: Callable[[], datetime],
    ) -> None:
        self._store = store
        self._naming = naming
        self._agents = agents
        self._strategy = strategy_of(agents)
        self._note = note
        self._on_changed = on_changed
        self._now = now

    def versions(self, actor: Actor, name: str) -> Json:
        """`{memory_id, system_id, head, versions}`, the newest first.

        A version whose content is not kept any more, or is not for the actor's agent, has `content`
        null. Raises `MemoryNotFound`.
        """
        with one_moment(self._store) as connection:
            memory = self._naming.find(connection, actor, name)
            held = weigh.hold(connection, *identity(memory), self._now())
        self._note(actor, [memory])
        told = self._told_of(actor, held)
        newest = sorted(told, key=lambda one: (one.written_at, one.version_id))
        return {
            "memory_id": held.memory_id,
            "system_id": held.system_id,
            "head": held.head_id,
            "versions": [_version(one, held.head_id) for one in reversed(newest)],
        }

    def conflicts(
        self, actor: Actor, state: State | None, limit: int, after: Place | None = None
    ) -> tuple[list[Json], Place | None]:
        """Those of memories that the actor may see, the oldest first, and where the list goes on;
        None after the last."""
        found: list[Conflict] = []
        with one_moment(self._store) as connection:
            at = None if after is None else (after.detected_at, after.conflict_id)
            while len(found) <= limit:
                page = conflicts.listed(connection, state, at, _PAGE)
                found += self._seen(connection, actor, page)
                if len(page) < _PAGE:
                    break
                at = page[-1].detected_at, page[-1].conflict_id
        shown = found[:limit]
        more = len(found) > limit
        last = Place(shown[-1].detected_at, shown[-1].conflict_id) if more else None
        return [_plain(one) for one in shown], last

    def conflict(self, actor: Actor, conflict_id: str) -> Json:
        """A conflict with both sides, what they were made of, and how they differ.

        Raises `ConflictNotFound`.
        """
        with one_moment(self._store) as connection:
            one = self._find(connection, actor, conflict_id)
            name = one.system_id, one.memory_id
            read = list(rows_of(connection, [name]).values())
            held = weigh.hold(connection, *name, self._now())
        self._note(actor, read)
        known = {version.version_id: version for version in self._told_of(actor, held)}
        ours, theirs = known.get(one.ours), known.get(one.theirs)
        return {
            **_plain(one),
            "ours": _side(ours, one.ours, held),
            "theirs": _side(theirs, one.theirs, held),
            "base": None if one.base is None else _side(known.get(one.base), one.base, held),
            "diff": _diff(ours, theirs),
        }

    def resolve(
        self,
        actor: Actor,
        conflict_id: str,
        decision: Decision,
        *,
        fence: int | None = None,
        key: Key | None = None,
    ) -> Json:
        """`{conflict_id, version, resolution, state}`: `version` is what is served now.

        Raises `ConflictNotFound`, `ResolutionInvalid`, `Forbidden`, `MemoryLocked`, `StaleFence`.
        """

        def act(connection: Connection, one: Conflict, held: Held, now: datetime) -> Json:
            priority = self._agents.priority(actor.agent_id)
            by = By(actor.name, actor.agent_id, priority, now, self._strategy)
            decided(connection, held, one, decision, by)
            return self._told(connection, one, now)

        return self._done(actor, conflict_id, "conflict.resolved", act, fence=fence, key=key)

    def undo(
        self, actor: Actor, conflict_id: str, *, fence: int | None = None, key: Key | None = None
    ) -> Json:
        """Have a resolved conflict open again; answers and raises as `resolve`."""

        def act(connection: Connection, one: Conflict, held: Held, now: datetime) -> Json:
            undone(connection, held, one, self._strategy, now)
            return self._told(connection, one, now)

        return self._done(actor, conflict_id, "conflict.undone", act, fence=fence, key=key)

    def _done(
        self,
        actor: Actor,
        conflict_id: str,
        action: str,
        act: Callable[[Connection, Conflict, Held, datetime], Json],
        *,
        fence: int | None,
        key: Key | None,
    ) -> Json:
        def once(connection: Connection, now: datetime) -> Json:
            one = self._find(connection, actor, conflict_id)
            name = (one.system_id, one.memory_id)
            found = rows_of(connection, [name])
            self._naming.check_writable(connection, actor, list(found.values()))
            locks.check(connection, [name], holder=actor.holder, fences=fence, now=now)
            held = weigh.hold(connection, *name, now, agents=self._agents)
            told = act(connection, one, held, now)
            body = {"conflict": conflict_id, "ids": [one.memory_id]}
            audit_log.append(connection, Act(actor.name, action, one.system_id, body), now)
            return told

        def work(connection: Connection) -> Json:
            now = self._now()
            return answers.once(connection, key, now, partial(once, connection, now))

        told = self._store.write(work)
        self._on_changed()
        return told

    def _told_of(self, actor: Actor, held: Held) -> list[Version]:
        """The versions, without the content of those of a category that the agent may not see: it
        may see what the memory became."""
        restricted = self._agents.restricted(actor.agent_id)
        return [
            one if may_read(one.record, restricted) else replace(one, record=None)
            for one in held.versions
        ]

    def _told(self, connection: Connection, one: Conflict, now: datetime) -> Json:
        after = conflicts.find(connection, one.conflict_id) or one
        held = weigh.hold(connection, one.system_id, one.memory_id, now)
        waiting = [other.conflict_id for other in held.conflicts if other.state == "open"]
        return {
            "conflict_id": one.conflict_id,
            "state": after.state,
            "resolution": after.resolution if after.state == "resolved" else None,
            "version": held.head_id,
            "open": waiting,
        }

    def _find(self, connection: Connection, actor: Actor, conflict_id: str) -> Conflict:
        one = conflicts.find(connection, conflict_id)
        if one is None or not self._seen(connection, actor, [one]):
            raise ConflictNotFound("there is no such conflict, or none that you may see")
        return one

    def _seen(
        self, connection: Connection, actor: Actor, some: Sequence[Conflict]
    ) -> list[Conflict]:
        """By identity, never by a name: an id with a slash can read as another memory's full
        name."""
        rows = rows_of(connection, [(one.system_id, one.memory_id) for one in some])
        seen = self._naming.sight.seen(connection, actor, list(rows.values()))
        there = {identity(memory) for memory in seen}
        return [one for one in some if (one.system_id, one.memory_id) in there]


def _plain(one: Conflict) -> Json:
    values = asdict(one)
    for name in ("detected_at", "resolved_at"):
        moment: datetime | None = values[name]
        values[name] = None if moment is None else moment.astimezone(UTC).isoformat()
    return {**values, "fields": list(one.fields)}


def _version(one: Version, head: str | None) -> Json:
    return {
        "version_id": one.version_id,
        "parents": list(one.parents),
        "kind": one.kind,
        "author": one.author,
        "agent_id": one.agent_id,
        "written_at": one.written_at.astimezone(UTC).isoformat(),
        "withdrawn": one.withdrawn,
        "served": one.version_id == head,
        "content": None if one.record is None else one.record.text,
    }


def _side(one: Version | None, version_id: str, held: Held) -> Json:
    """All that a version says; null where its content is not kept any more."""
    if one is None or one.record is None:
        return {"version_id": version_id, "served": version_id == held.head_id, "record": None}
    return {**_version(one, held.head_id), "record": _record(one.record)}


def _record(record: Record) -> Json:
    values = {name: getattr(record, name) for name in FIELDS if name not in ("text", "metadata")}
    for name in ("created_at", "updated_at"):
        moment: datetime | None = values[name]
        values[name] = None if moment is None else moment.astimezone(UTC).isoformat()
    metadata = load_json(record.metadata)
    return {
        **values,
        "content": record.text,
        "tags": list(record.tags),
        "metadata": record.metadata if metadata is None else metadata,
    }


def _diff(ours: Version | None, theirs: Version | None) -> list[str]:
    one, other = (
        "" if side is None or side.record is None else side.record.text or ""
        for side in (ours, theirs)
    )
    return diff(one, other)
