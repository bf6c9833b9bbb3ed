"""Retention: an agent's memories that are too old are deleted, and can be brought back a while."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial
from itertools import groupby
from typing import Final

from recall_daemon.agents.config import Agents, AgentSetting
from recall_daemon.agents.far import FarRecords
from recall_daemon.agents.naming import identity
from recall_daemon.jobs import Progress
from recall_daemon.store import audit_log, deletions, locks
from recall_daemon.store import retention as table
from recall_daemon.store.audit_log import Act
from recall_daemon.store.deletions import Deletion
from recall_daemon.store.showing import Memory
from recall_daemon.store.store import Connection, Store
from recall_wire.records import Record

KIND: Final = "retention"
ACTOR: Final = "hub"

# Of one transaction, and at most of one deletion.
BATCH: Final = 250


class Retention:
    """Blocking. `on_changed` is told after each commit.

    Deleted is what belongs to an agent with `retention_days` and is older than that; not what is
    pinned, and not what is locked: that waits for the next run.
    """

    def __init__(
        self,
        store: Store,
        agents: Agents,
        far: FarRecords,
        *,
        on_changed: Callable[[], None],
        now: Callable[[], datetime],
    ) -> None:
        self._store = store
        self._agents = agents
        self._far = far
        self._on_changed = on_changed
        self._now = now

    def run(self, progress: Progress) -> None:
        """Delete what is due of every agent. Idempotent. Raises `TransientError` where the texts of
        cold memories cannot be fetched, to be kept until they are purged."""
        done = 0
        for agent in self._agents.by_name.values():
            if agent.retention_days is None:
                continue
            before = self._now() - timedelta(days=agent.retention_days)
            for batch in self._batches(agent.name, before):
                cold = [memory for memory in batch if memory.cold_file is not None]
                far = self._far.contents(cold) if cold else {}
                rows = [memory.row_id for memory in batch]
                work = partial(self._delete, agent=agent, before=before, rows=rows, far=far)
                done += self._store.write(work)
                self._on_changed()
                progress.update(done, detail=f"{done} memories deleted")

    def _batches(self, agent_id: str, before: datetime) -> Iterator[list[Memory]]:
        after = 0
        while True:
            with self._store.read() as connection:
                batch = table.due(connection, agent_id, before, after=after, limit=BATCH)
            if not batch:
                return
            yield batch
            after = batch[-1].row_id

    def _delete(
        self,
        connection: Connection,
        *,
        agent: AgentSetting,
        before: datetime,
        rows: Sequence[int],
        far: Mapping[int, Record],
    ) -> int:
        """A deletion for each system and user: who may bring one back may bring back all of it."""
        now = self._now()
        due = table.still_due(connection, agent.name, before, rows)
        held = _locked(connection, due, now)
        doomed = [
            memory
            for memory in due
            if identity(memory) not in held
            and (memory.cold_file is None or memory.row_id in far)  # else it turned cold just now
        ]
        for _, some in groupby(sorted(doomed, key=_owner), key=_owner):
            _delete_some(connection, list(some), agent, far, now)
        return len(doomed)


def _owner(memory: Memory) -> tuple[str, str]:
    return memory.system_id, memory.user_id or ""


def _locked(connection: Connection, memories: Sequence[Memory], now: datetime) -> set[object]:
    found = locks.find_all(connection, [identity(memory) for memory in memories])
    return {name for name, lock in found.items() if lock.lives(now)}


def _delete_some(
    connection: Connection,
    memories: Sequence[Memory],
    agent: AgentSetting,
    far: Mapping[int, Record],
    now: datetime,
) -> None:
    number = deletions.next_id(connection)
    detail = f"the agent {agent.name} keeps its memories for {agent.retention_days:g} days"
    deletion = Deletion(number, "retention", detail, ACTOR, now, ())
    deletions.delete(connection, deletion, memories, far, now)
    ids = [memory.memory_id for memory in memories]
    said = {"deletion_id": number, "reason": "retention", "agent": agent.name, "ids": ids}
    audit_log.append(connection, Act(ACTOR, "memory.deleted", memories[0].system_id, said), now)
