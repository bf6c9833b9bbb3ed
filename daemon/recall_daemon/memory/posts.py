"""Memories that are written to the hub itself, each durable when it is acknowledged.

Posts that wait at the same time share one merge a system and one transaction, so that 64 callers
cost little more than one.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from recall_daemon.agents.config import NO_AGENTS, Agents
from recall_daemon.errors import KeyReused, MemoryLocked
from recall_daemon.memory.fresh import Fresh, Names
from recall_daemon.memory.whose import Owners, Whose
from recall_daemon.metrics import POSTS, ROWS_POSTED
from recall_daemon.store import answers, locks, posts
from recall_daemon.store.answers import Key
from recall_daemon.store.audit_log import Act
from recall_daemon.store.locks import Identity, Lock
from recall_daemon.store.side_tables import Row
from recall_daemon.store.store import Connection, Store
from recall_wire.errors import RecallError
from recall_wire.records import Record

# Rows of one transaction. A larger post has one of its own.
GROUP_ROWS = 10_000
# Answers that are too old to be asked for go with the first keyed post after so long.
PRUNED_EVERY = timedelta(hours=1)


@dataclass(frozen=True)
class Stored:
    """`stored_at` is when it was first acknowledged: a retry with the same key is told the same.

    `answer`: that of the post's `Fresh`.
    """

    stored_at: datetime
    answer: str = ""


def stored_json(system_id: str, record: Record, stored: Stored) -> dict[str, str]:
    """What whoever posted one memory is told."""
    return {
        "status": "stored",
        "system_id": system_id,
        "memory_id": record.memory_id,
        "stored_at": stored.stored_at.isoformat(),
    }


Parts = Mapping[str, Sequence[Record]]
_Result = Stored | RecallError


def _running() -> Future[Stored]:
    """One that whoever waits cannot cancel: the writer settles it."""
    future: Future[Stored] = Future()
    future.set_running_or_notify_cancel()
    return future


@dataclass(eq=False)
class _Waiting:
    parts: Parts
    actor: str
    key: Key | None
    fresh: Fresh | None = None
    whose: Whose | None = None
    heeds_locks: bool = True
    done: Future[Stored] = field(default_factory=_running)

    @property
    def rows(self) -> int:
        return sum(len(records) for records in self.parts.values())

    def locked(self, held: Mapping[Identity, Lock]) -> MemoryLocked | None:
        """A post has no fence, so a lease keeps everybody's out."""
        if not held or not self.heeds_locks:
            return None
        names = ((name, one.memory_id) for name, some in self.parts.items() for one in some)
        first = next((held[name] for name in names if name in held), None)
        return None if first is None else locks.locked(first.identity, first)


class Posts:
    """Safe from many threads. `on_merged` is told after each commit."""

    def __init__(
        self,
        store: Store,
        *,
        check_disk: Callable[[], None],
        on_merged: Callable[[], None],
        now: Callable[[], datetime],
        agents: Agents = NO_AGENTS,
    ) -> None:
        self._store = store
        self._check_disk = check_disk
        self._on_merged = on_merged
        self._now = now
        self._agents = agents
        self._lock = threading.Lock()
        self._waiting: list[_Waiting] = []
        self._pruned_at: datetime | None = None

    def store(
        self,
        system_id: str,
        records: Sequence[Record],
        *,
        actor: str,
        key: Key | None = None,
        whose: Whose | None = None,
        heeds_locks: bool = True,
    ) -> Stored:
        """Write memories into a system: all of them, or none. Durable when this returns. Blocking.

        Of several records with one id the last counts. `actor` is who did it, for the audit log.
        What was forgotten stays so, without an error. `whose`, `heeds_locks`: see `begin`. Raises
        `KeyReused`, `MemoryLocked`, `DiskFull`, `StoreFailed`.
        """
        parts = {system_id: records}
        return self.begin(
            parts, actor=actor, key=key, whose=whose, heeds_locks=heeds_locks
        ).result()

    def begin(
        self,
        parts: Parts,
        *,
        actor: str,
        key: Key | None = None,
        fresh: Fresh | None = None,
        whose: Whose | None = None,
        heeds_locks: bool = True,
    ) -> Future[Stored]:
        """As `store`, for several systems at once, without waiting.

        The future is done once all of it is durable, or none; it cannot be cancelled. `fresh` says
        which memories may not be there yet: the future then raises `MemoryExists` where one is, and
        `MemoryNotFound` where a parent is not. `whose`: on whose behalf it is written; the future
        then raises `Forbidden` where it would replace a memory of another. `heeds_locks`: it
        raises `MemoryLocked` where somebody holds the lock of one; not so for what an instance
        says of its own memories, which no lock here can hold up. Raises `DiskFull`, `StoreFailed`.
        """
        self._check_disk()
        records = {name: tuple(some) for name, some in parts.items()}
        post = _Waiting(records, actor, key, fresh, whose, heeds_locks)
        with self._lock:
            self._waiting.append(post)
        try:
            self._submit(_Group(self._claim, self._now, self._prune, self._agents))
        except BaseException:
            with self._lock, contextlib.suppress(ValueError):
                self._waiting.remove(post)
            raise
        return post.done

    def _claim(self) -> list[_Waiting]:
        with self._lock:
            taken, rows = 0, 0
            for post in self._waiting:
                rows += post.rows
                if taken and rows > GROUP_ROWS:
                    break
                taken += 1
            claimed, self._waiting = self._waiting[:taken], self._waiting[taken:]
            return claimed

    def _prune(self, connection: Connection, now: datetime) -> None:
        if self._pruned_at is None or now - self._pruned_at >= PRUNED_EVERY:
            answers.prune(connection, now)
            self._pruned_at = now

    def _submit(self, group: _Group) -> None:
        self._store.submit(group).add_done_callback(lambda future: self._settle(group, future))

    def _settle(self, group: _Group, future: Future[list[_Result]]) -> None:
        """On the writer's thread, after the commit."""
        error = future.exception()
        if error is None:
            for post, stored in zip(group.claimed(), future.result(), strict=True):
                _tell(post, stored)
            if group.claimed():
                self._on_merged()
            return
        failed = group.claimed()  # also where not even its transaction could begin
        if len(failed) == 1:
            _fail(failed[0], error)
        else:
            for post in failed:  # whose fault it is shows when each is alone
                self._submit_alone(post)

    def _submit_alone(self, post: _Waiting) -> None:
        try:
            self._submit(_Group(lambda: [post], self._now, self._prune, self._agents))
        except Exception as error:
            _fail(post, error)


def _tell(post: _Waiting, stored: _Result) -> None:
    if isinstance(stored, RecallError):
        _fail(post, stored)
    else:
        POSTS.labels("stored").inc()
        ROWS_POSTED.inc(post.rows)
        post.done.set_result(stored)


def _fail(post: _Waiting, error: BaseException) -> None:
    POSTS.labels("failed").inc()
    post.done.set_exception(error)


class _Group:
    """A work of the store's writer: every post that waits when it is run for the first time."""

    def __init__(
        self,
        claim: Callable[[], list[_Waiting]],
        now: Callable[[], datetime],
        prune: Callable[[Connection, datetime], None],
        agents: Agents,
    ) -> None:
        self._claim = claim
        self._now = now
        self._prune = prune
        self._agents = agents
        self._claimed: list[_Waiting] | None = None

    def claimed(self) -> list[_Waiting]:
        """Its posts; whoever asks first has it take those that wait now."""
        if self._claimed is None:
            self._claimed = self._claim()
        return self._claimed

    def __call__(self, connection: Connection) -> list[_Result]:
        now, names = self._now(), _names(connection, self.claimed())
        owners = _owners(connection, self.claimed())
        held = {lock.identity: lock for lock in locks.living(connection, now)}
        results: list[_Result] = []
        new: dict[str, list[Record]] = {}
        beside: dict[str, list[Row]] = {}
        acts: list[Act] = []
        for post in self.claimed():
            settled: _Result | None = _before(connection, post, now)
            settled = settled or post.locked(held) or _refused(post, names)
            if settled is None and owners is not None:
                settled = owners.refuse(post.whose, post.parts)
            results.append(settled or Stored(now, _answer(post)))
            if settled is None:
                for system_id, records in post.parts.items():
                    new.setdefault(system_id, []).extend(records)
                for table, rows in (post.fresh.beside if post.fresh else {}).items():
                    beside.setdefault(table, []).extend(rows)
                acts += _note(connection, post, now)
        if any(post.key is not None for post in self.claimed()):
            self._prune(connection, now)
        if acts:
            posts.post_all(connection, new, now, acts, beside=beside, agents=self._agents)
        return results


def _names(connection: Connection, waiting: Sequence[_Waiting]) -> Names | None:
    fresh = [post.fresh for post in waiting if post.fresh is not None]
    return Names(connection, fresh) if fresh else None


def _refused(post: _Waiting, names: Names | None) -> RecallError | None:
    return None if post.fresh is None or names is None else names.accept(post.fresh)


def _owners(connection: Connection, waiting: Sequence[_Waiting]) -> Owners | None:
    if all(post.whose is None for post in waiting):
        return None
    return Owners(connection, [(post.whose, post.parts) for post in waiting])


def _answer(post: _Waiting) -> str:
    return "" if post.fresh is None else post.fresh.answer


def _before(connection: Connection, post: _Waiting, now: datetime) -> Stored | KeyReused | None:
    if post.key is None:
        return None
    known = answers.find(connection, post.key, now)
    if known is None:
        return None
    try:
        answers.check_same(known, post.key)
    except KeyReused as error:
        return error
    stored_at, _, answer = known.answer.partition("\n")
    return Stored(datetime.fromisoformat(stored_at), answer)


def _note(connection: Connection, post: _Waiting, now: datetime) -> list[Act]:
    """Keep the answer; returns what the audit log is to say."""
    if post.key is not None:
        said = f"{now.isoformat()}\n{_answer(post)}".rstrip("\n")
        answers.keep(connection, post.key, said, now)
    return [
        Act(
            post.actor,
            "memories.stored",
            system_id,
            {"rows": len(records), "ids": [record.memory_id for record in records[:10]]},
        )
        for system_id, records in post.parts.items()
    ]
