"""Deleting memories with all that hangs below them, undoing it, and purging what was deleted."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from recall_daemon.agents.actor import Actor
from recall_daemon.agents.config import Agents
from recall_daemon.agents.far import FarRecords
from recall_daemon.agents.naming import Naming, identity, rows_of
from recall_daemon.agents.showing import Json
from recall_daemon.errors import AgentInvalid, MemoryGone, MemoryNotFound
from recall_daemon.store import answers, audit_log, children, deletions, locks, versions, weigh
from recall_daemon.store.answers import Key
from recall_daemon.store.audit_log import Act
from recall_daemon.store.deletions import Deletion, Lifted
from recall_daemon.store.showing import Memory
from recall_daemon.store.store import Connection, Store
from recall_daemon.versions.settle import strategy_of
from recall_wire.errors import TransientError
from recall_wire.records import Record

# In one transaction, for which all other writers wait.
SUBTREE_MAX: Final = 10_000
LIFTED_MAX: Final = 1_000
# How often texts are fetched of what turned cold meanwhile.
_ATTEMPTS: Final = 3
_IDS_NOTED: Final = 1_000

Far = Mapping[int, Record]
_Act = Callable[[Connection, Far, datetime], Json]


@dataclass(frozen=True)
class _Asked:
    name: str
    cascade: bool
    fence: int | None
    far: Far


@dataclass(frozen=True)
class _Undo:
    deletion_id: int
    fence: int | None


class _Cold(Exception):
    """These memories' texts are to be fetched first; nothing was changed."""

    def __init__(self, memories: Sequence[Memory]) -> None:
        super().__init__(f"{len(memories)} cold memories")
        self.memories = memories


class Deleting:
    """Blocking; safe from many threads."""

    def __init__(
        self,
        store: Store,
        naming: Naming,
        agents: Agents,
        far: FarRecords,
        *,
        keep: timedelta,
        on_changed: Callable[[], None],
        now: Callable[[], datetime],
    ) -> None:
        self._store = store
        self._naming = naming
        self._agents = agents
        self._far = far
        self._keep = keep
        self._on_changed = on_changed
        self._now = now

    def delete(
        self,
        actor: Actor,
        name: str,
        *,
        cascade: bool = True,
        fence: int | None = None,
        key: Key | None = None,
    ) -> Json:
        """`{deleted_ids, deletion_id}`, the memory itself first: all in one transaction.

        With all below it by their parents; or, without `cascade`, alone, and its children get its
        own parent. What the actor may not change stays as it is, with all below it: else whoever
        sees a memory could keep it from being deleted. None may be locked by another. It can be
        undone until it is purged. Raises `MemoryNotFound`, `Forbidden`, `MemoryLocked`,
        `StaleFence`, `AgentInvalid`, `KeyReused`, and `TransientError` where the text of a cold one
        cannot be fetched, with nothing changed.
        """
        return self._changed(
            key, lambda c, far, now: self._delete(c, actor, _Asked(name, cascade, fence, far), now)
        )

    def _changed(self, key: Key | None, act: _Act) -> Json:
        """What `act` answers, in one transaction, once the texts that it needs are here."""
        far: dict[int, Record] = {}

        def work(connection: Connection) -> Json:
            now = self._now()
            return answers.once(connection, key, now, lambda: act(connection, far, now))

        for _ in range(_ATTEMPTS):
            try:
                told = self._store.write(work)
            except _Cold as cold:
                far |= self._far.contents(cold.memories)
            else:
                self._on_changed()
                return told
        raise TransientError("memories turned cold while they were changed", hint="try again")

    def _delete(self, connection: Connection, actor: Actor, asked: _Asked, now: datetime) -> Json:
        root = self._naming.find_writable(connection, actor, asked.name)
        doomed, lifted = _subtree(connection, root, cascade=asked.cascade)
        doomed = _own(root, doomed, self._naming.sight.writable(connection, actor, doomed))
        lifted = self._naming.sight.writable(connection, actor, lifted)
        names = [identity(memory) for memory in (*doomed, *lifted)]
        locks.check(connection, names, holder=actor.holder, fences=asked.fence, now=now)
        _check_texts([*doomed, *lifted], asked.far)
        number = deletions.next_id(connection)
        moved = []
        for child in lifted:
            above = None if root.parent_id == child.memory_id else root.parent_id
            self._set_parent(connection, actor, child, above, asked.far)
            moved.append(Lifted(*identity(child), above))
        asked_for = Deletion(number, "asked", None, actor.name, now, (), lifted=tuple(moved))
        made = deletions.delete(connection, asked_for, doomed, asked.far, now)
        ids = [memory.memory_id for memory in doomed]
        _audit(connection, actor.name, "memory.deleted", made, now)
        return {"deleted_ids": ids, "deletion_id": number}

    def _set_parent(
        self,
        connection: Connection,
        actor: Actor,
        child: Memory,
        parent_id: str | None,
        far: Far,
    ) -> None:
        """An edit as any other."""
        now = self._now()
        text = far.get(child.row_id)
        held = weigh.hold(connection, *identity(child), now, far=text, agents=self._agents)
        head = next((one for one in held.versions if one.version_id == held.head_id), None)
        if head is None or head.record is None:
            return
        edit = versions.edit_version(
            replace(head.record, parent_id=parent_id),
            [head.version_id],
            author=actor.name,
            agent_id=actor.agent_id,
            priority=self._agents.priority(actor.agent_id),
            written_at=now,
        )
        weigh.weigh(connection, held, [edit], strategy_of(self._agents), now)

    def undo(
        self, actor: Actor, deletion_id: int, *, fence: int | None = None, key: Key | None = None
    ) -> Json:
        """`{restored_ids}`: all that the deletion deleted, as it was, and the lifted children below
        it again, those that the actor may change.

        `fence`: of the actor's lock on the memory that was named. Raises `MemoryNotFound`,
        `Forbidden`, `MemoryGone` once it is purged, `AgentInvalid` where it was undone before,
        `MemoryLocked`, `StaleFence`, and `KeyReused`.
        """
        asked = _Undo(deletion_id, fence)
        return self._changed(key, lambda c, far, now: self._undo(c, actor, asked, far, now))

    def _undo(
        self, connection: Connection, actor: Actor, asked: _Undo, far: Far, now: datetime
    ) -> Json:
        deletion = self._find(connection, actor, asked.deletion_id)
        if deletion.undone_at is not None:
            raise AgentInvalid("that deletion was undone before")
        if deletion.purged_at is not None:
            raise MemoryGone("what was deleted is purged", hint="it cannot be brought back")
        moved = self._still_lifted(connection, actor, deletion)
        names = [one.identity for one in deletion.stubs] + [identity(child) for child in moved]
        locks.check(connection, names, holder=actor.holder, fences=asked.fence, now=now)
        _check_texts(moved, far)
        back = [memory_id for _, memory_id in deletions.restore(connection, deletion, now)]
        for child in moved:
            self._set_parent(connection, actor, child, deletion.stubs[0].memory_id, far)
        _audit(connection, actor.name, "memory.restored", deletion, now)
        return {"restored_ids": back}

    def _still_lifted(
        self, connection: Connection, actor: Actor, deletion: Deletion
    ) -> list[Memory]:
        """The children that have the parent yet which the deletion gave them, and that the actor
        may change."""
        there = rows_of(connection, [one.identity for one in deletion.lifted])
        still = [
            there[one.identity]
            for one in deletion.lifted
            if one.identity in there and there[one.identity].parent_id == one.parent_id
        ]
        return self._naming.sight.writable(connection, actor, still)

    def _find(self, connection: Connection, actor: Actor, deletion_id: int) -> Deletion:
        """One whose memories the actor may change."""
        deletion = deletions.find(connection, deletion_id)
        stubs = [] if deletion is None else [s.memory(deletion.deleted_at) for s in deletion.stubs]
        if deletion is None or not self._naming.sight.seen(connection, actor, stubs[:1]):
            raise MemoryNotFound("there is no such deletion, or none that you may see")
        self._naming.check_writable(connection, actor, stubs)
        return deletion

    def purge(self, limit: int = 100) -> int:
        """Let go of the content of at most `limit` deletions that are older than it is kept.

        Returns how many. Idempotent; each is a transaction of its own.
        """
        now = self._now()
        with self._store.look_up() as connection:
            found = deletions.due(connection, now - self._keep, limit)
        return sum(self._store.write(lambda c, n=n: _purge(c, n, now)) for n in found)  # type: ignore[misc]


def _subtree(
    connection: Connection, root: Memory, *, cascade: bool
) -> tuple[list[Memory], list[Memory]]:
    """What is deleted, and what gets another parent. Raises `AgentInvalid` for too many."""
    if not cascade:
        below = [(root.system_id, one) for one in children.below(connection, *identity(root))]
        if len(below) > LIFTED_MAX:
            raise AgentInvalid(
                f"it has {len(below)} children; at most {LIFTED_MAX} are lifted at once",
                hint="delete it with cascade, or give some another parent",
            )
        return [root], list(rows_of(connection, below).values())
    ids = children.subtree(connection, *identity(root), SUBTREE_MAX)
    if ids is None:
        raise AgentInvalid(
            f"more than {SUBTREE_MAX} memories hang below it",
            hint="delete what is below it first, in parts",
        )
    names = [(root.system_id, one) for one in ids]
    rows = rows_of(connection, names)
    return [rows[name] for name in names], []


def _own(root: Memory, below: Sequence[Memory], writable: Sequence[Memory]) -> list[Memory]:
    """The root, and what hangs on it by memories that may all be changed."""
    may = {memory.memory_id for memory in writable}
    by_parent: dict[str | None, list[Memory]] = {}
    for memory in below:
        if memory.memory_id in may and memory.memory_id != root.memory_id:
            by_parent.setdefault(memory.parent_id, []).append(memory)
    own = [root]
    for memory in own:  # grows meanwhile
        own += by_parent.pop(memory.memory_id, ())
    return own


def _check_texts(memories: Sequence[Memory], far: Far) -> None:
    """Raises `_Cold` where texts are to be fetched first."""
    cold = [one for one in memories if one.cold_file is not None and one.row_id not in far]
    if cold:
        raise _Cold(cold)


def _purge(connection: Connection, deletion_id: int, now: datetime) -> int:
    deletion = deletions.find(connection, deletion_id)
    if deletion is None or deletion.undone_at is not None or deletion.purged_at is not None:
        return 0
    deletions.purge_content(connection, deletion, now)
    _audit(connection, "hub", "memory.purged", deletion, now)
    return 1


def _audit(
    connection: Connection, actor: str, action: str, deletion: Deletion, now: datetime
) -> None:
    ids = [stub.memory_id for stub in deletion.stubs]
    said = {
        "deletion_id": deletion.deletion_id,
        "memories": len(ids),
        "ids": ids[:_IDS_NOTED],
    }
    system_id = deletion.stubs[0].system_id
    audit_log.append(connection, Act(actor, action, system_id, said), now)
