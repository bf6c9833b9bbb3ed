"""Whether files of the data folder may still hold bytes of what was forgotten.

Counted, not set and cleared: what is forgotten while a purge runs is left for the next one.
"""

from __future__ import annotations

from recall_daemon.store import ledger
from recall_daemon.store.store import Connection

_ASKED, _DONE = "purge_asked", "purge_done"


def ask(connection: Connection) -> None:
    """Note, in the transaction that forgets, that its bytes are still on the disk."""
    ledger.set_fact(connection, _ASKED, str(asked(connection) + 1))


def asked(connection: Connection) -> int:
    """How often it was asked for; hand it to `settle` once a purge that began later is done."""
    return int(ledger.fact(connection, _ASKED) or 0)


def is_due(connection: Connection) -> bool:
    return asked(connection) > int(ledger.fact(connection, _DONE) or 0)


def settle(connection: Connection, upto: int) -> None:
    """Everything that was asked for up to that count is off the disk. Never goes back."""
    done = max(upto, int(ledger.fact(connection, _DONE) or 0))
    ledger.set_fact(connection, _DONE, str(done))
