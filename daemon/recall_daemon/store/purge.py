"""Whether files of the data folder may still hold bytes of what was forgotten.

Counted, not set and cleared: what is forgotten while a purge runs is left for the next one. Each
step is counted by itself: where a later one fails, the earlier ones are not done again.
"""

from __future__ import annotations

from datetime import datetime
from typing import Literal, get_args

from recall_daemon.store import ledger
from recall_daemon.store.store import Connection

Step = Literal["cold", "store", "index", "cache"]
STEPS: tuple[Step, ...] = get_args(Step)

_ASKED, _DONE, _FINISHED_AT = "purge_asked", "purge_done_", "purge_finished_at"


def ask(connection: Connection) -> None:
    """Note, in the transaction that forgets, that its bytes are still on the disk."""
    ledger.set_fact(connection, _ASKED, str(asked(connection) + 1))


def asked(connection: Connection) -> int:
    """How often it was asked for; hand it to `settle` once a step that began later is done."""
    return _count(connection, _ASKED)


def is_pending(connection: Connection) -> bool:
    return any(is_left(connection, step) for step in STEPS)


def is_left(connection: Connection, step: Step) -> bool:
    return asked(connection) > _count(connection, _DONE + step)


def settle(connection: Connection, step: Step, upto: int) -> None:
    """Everything that was asked for up to that count is out of a step's files. Never goes back."""
    done = max(upto, _count(connection, _DONE + step))
    ledger.set_fact(connection, _DONE + step, str(done))


def finish(connection: Connection, now: datetime) -> None:
    """Note when the newest purge came to its end."""
    ledger.set_fact(connection, _FINISHED_AT, now.isoformat())


def finished_at(connection: Connection) -> datetime | None:
    """When the newest purge came to its end; None where there was none."""
    told = ledger.fact(connection, _FINISHED_AT)
    return datetime.fromisoformat(told) if told else None


def _count(connection: Connection, name: str) -> int:
    return int(ledger.fact(connection, name) or 0)
