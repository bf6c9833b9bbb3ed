"""What agents read that others wrote, in the audit log: one entry a request, before its answer."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from datetime import datetime
from typing import Final, NamedTuple

from recall_daemon.errors import ReadNotNoted
from recall_daemon.search.reach import Told
from recall_daemon.store import audit_log
from recall_daemon.store.audit_log import Act
from recall_daemon.store.store import Connection, Store, next_numbers
from recall_wire.errors import RecallError

ACTION: Final = "memories.read_across"
# A commit takes milliseconds; behind 50,000 rows that are being merged, and a checkpoint, seconds.
WAIT_S: Final = 10.0
IDS_MAX: Final = 100


class _Entry(NamedTuple):
    act: Act
    durable: Future[None]


class ReadLog:
    """Safe from many threads. Entries that wait at the same time share one statement."""

    def __init__(self, store: Store, *, now: Callable[[], datetime]) -> None:
        self._store = store
        self._now = now
        self._lock = threading.Lock()
        self._waiting: list[_Entry] = []

    def note(self, actor: str, agent_id: str, user_id: str | None, told: Sequence[Told]) -> None:
        """Returns once the entry is durable. `told`: distinct memories.

        Raises `ReadNotNoted` where it is not within `WAIT_S`: nothing is to be told then. An entry
        that comes later stands for a read that was refused.
        """
        entry = _Entry(_act(actor, agent_id, user_id, told), Future())
        group = _Group(self._claim, self._now)
        with self._lock:
            self._waiting.append(entry)
        try:
            self._store.submit(group).add_done_callback(group.settle)
            entry.durable.result(WAIT_S)
        except (RecallError, TimeoutError) as error:
            raise ReadNotNoted(
                "this shows what other agents wrote, which the audit log cannot take down now:"
                f" {str(error) or 'the store is busy'}",
                hint="try again",
            ) from error

    def _claim(self) -> list[_Entry]:
        with self._lock:
            claimed, self._waiting = self._waiting, []
            return claimed


class _Group:
    """A work of the store's writer: every entry that waits when it is run for the first time."""

    def __init__(self, claim: Callable[[], list[_Entry]], now: Callable[[], datetime]) -> None:
        self._claim = claim
        self._now = now
        self._entries: list[_Entry] | None = None

    def __call__(self, connection: Connection) -> None:
        if self._entries is None:
            self._entries = self._claim()
        if self._entries:
            acts = [entry.act for entry in self._entries]
            first = next_numbers(connection, "audit", len(acts))
            audit_log.append_all(connection, acts, self._now(), first=first)

    def settle(self, committed: Future[None]) -> None:
        """Tell whoever waits for an entry of this how it went; one that never ran took none."""
        entries = self._claim() if self._entries is None else self._entries
        for entry in entries:
            if error := committed.exception():
                entry.durable.set_exception(error)
            else:
                entry.durable.set_result(None)


def _act(actor: str, agent_id: str, user_id: str | None, told: Sequence[Told]) -> Act:
    body = {
        "agent": agent_id,
        "user": user_id,
        "memories": len(told),
        "of": dict(Counter(str(one.agent_id) for one in told)),
        "ids": [f"{one.system_id}/{one.memory_id}" for one in told[:IDS_MAX]],
    }
    return Act(actor, ACTION, None, body)
