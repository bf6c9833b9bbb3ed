"""What agents read that others wrote, in the audit log: one entry a request."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from concurrent.futures import wait as wait_for
from datetime import datetime
from typing import Final

import structlog

from recall_daemon.search.reach import Told
from recall_daemon.store import audit_log
from recall_daemon.store.audit_log import Act
from recall_daemon.store.store import Connection, Store, next_numbers
from recall_wire.errors import RecallError

log = structlog.get_logger(__name__)

ACTION: Final = "memories.read_across"
# An answer waits so long for its entry; under load that is a commit that others share.
WAIT_S: Final = 0.05
IDS_MAX: Final = 100


class ReadLog:
    """Safe from many threads. Entries that wait at the same time share one statement.

    An answer waits for its entry to be durable, but no longer than `WAIT_S`: a hub that is killed
    right after may lack the entries of the answers that it gave in the last moment before, where
    the store was busy for longer than that.
    """

    def __init__(self, store: Store, *, now: Callable[[], datetime]) -> None:
        self._store = store
        self._now = now
        self._lock = threading.Lock()
        self._waiting: list[Act] = []

    def note(self, actor: str, agent_id: str, user_id: str | None, told: Sequence[Told]) -> None:
        """`told`: distinct memories. What cannot be noted is logged, and fails no read."""
        with self._lock:
            self._waiting.append(_act(actor, agent_id, user_id, told))
        try:
            future = self._store.submit(_Group(self._claim, self._now))
        except RecallError as error:
            log.warning("reads.not_noted", error=str(error))
            return
        future.add_done_callback(_settled)
        wait_for([future], WAIT_S)

    def _claim(self) -> list[Act]:
        with self._lock:
            claimed, self._waiting = self._waiting, []
            return claimed


class _Group:
    """A work of the store's writer: every entry that waits when it is run for the first time."""

    def __init__(self, claim: Callable[[], list[Act]], now: Callable[[], datetime]) -> None:
        self._claim = claim
        self._now = now
        self._acts: list[Act] | None = None

    def __call__(self, connection: Connection) -> None:
        if self._acts is None:
            self._acts = self._claim()
        if self._acts:
            first = next_numbers(connection, "audit", len(self._acts))
            audit_log.append_all(connection, self._acts, self._now(), first=first)


def _settled(future: Future[None]) -> None:
    error = future.exception()
    if error is not None:
        log.warning("reads.not_noted", error=str(error))


def _act(actor: str, agent_id: str, user_id: str | None, told: Sequence[Told]) -> Act:
    body = {
        "agent": agent_id,
        "user": user_id,
        "memories": len(told),
        "of": dict(Counter(str(one.agent_id) for one in told)),
        "ids": [f"{one.system_id}/{one.memory_id}" for one in told[:IDS_MAX]],
    }
    return Act(actor, ACTION, None, body)
