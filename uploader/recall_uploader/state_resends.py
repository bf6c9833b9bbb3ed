"""What the hub could not take, in the state: its rows are sent again, and not for ever.

All but `quarantined` and `again` write, and belong inside a transaction.
"""

from __future__ import annotations

import sqlite3
from typing import Literal

RESENDS_MAX = 2
STALE_HASH = bytes(16)  # equals no row's hash: the row is sent again

Again = Literal["sent", "next upload", "no"]

_GIVEN_UP = f"seq = :seq AND resends >= {RESENDS_MAX}"


def unlearn(connection: sqlite3.Connection, seq: int, *, counted: bool = False) -> None:
    """The rows of snapshot `seq`, its deletes too, are sent again under a later number; where
    they are `counted`, those that were sent again `RESENDS_MAX` times in a row are not."""
    again = f"AND resends < {RESENDS_MAX}" if counted else ""
    said = {"seq": seq, "stale": STALE_HASH, "more": int(counted)}
    for statement in (
        f"UPDATE rows SET hash = :stale, resends = resends + :more WHERE seq = :seq {again}",
        "INSERT OR REPLACE INTO rows (target, memory_id, source, hash, seq, resends)"
        " SELECT target, memory_id, source, :stale, seq, resends + :more FROM deleted"
        f" WHERE seq = :seq {again}",
        "DELETE FROM deleted WHERE seq = :seq",
        "UPDATE forgotten SET seq = NULL WHERE seq = :seq",
        "UPDATE sources SET raw_sha256 = NULL, resends = resends + :more"
        f" WHERE raw_seq = :seq {again}",
        "DELETE FROM stamps",
    ):
        connection.execute(statement, said)


def learn_quarantined(connection: sqlite3.Connection, seq: int, reason: str) -> bool:
    """The hub could not take snapshot `seq`; False where this was known. Deletes that are given up
    leave no other trace, so that their number is kept."""
    if _count(connection, "quarantined WHERE seq = :seq", seq):
        return False
    given_up = _count(connection, f"deleted WHERE {_GIVEN_UP}", seq)
    connection.execute("INSERT INTO quarantined VALUES (?, ?, ?)", (seq, reason, given_up))
    unlearn(connection, seq, counted=True)
    return True


def quarantined(connection: sqlite3.Connection, after: int) -> dict[int, str]:
    """The reasons that were learned, of the snapshots after `after`."""
    query = "SELECT seq, reason FROM quarantined WHERE seq > ?"
    return dict(connection.execute(query, (after,)).fetchall())


def again(connection: sqlite3.Connection, seq: int) -> Again:
    """What becomes of the rows of a snapshot that the hub could not take.

    Rows count as long as it is their newest snapshot: sent again, they belong to another.
    """
    waits = (
        "rows WHERE seq = :seq AND hash = :stale",
        "sources WHERE raw_seq = :seq AND raw_sha256 IS NULL",
    )
    given_up = (
        f"rows WHERE {_GIVEN_UP}",
        f"sources WHERE raw_{_GIVEN_UP}",
        "quarantined WHERE seq = :seq AND deletes_given_up > 0",
    )
    known = _count(connection, "quarantined WHERE seq = :seq", seq)
    if not known or any(_count(connection, place, seq) for place in waits):
        return "next upload"
    return "no" if any(_count(connection, place, seq) for place in given_up) else "sent"


def _count(connection: sqlite3.Connection, place: str, seq: int) -> int:
    said = {"seq": seq, "stale": STALE_HASH}
    return int(connection.execute(f"SELECT count(*) FROM {place}", said).fetchone()[0])
