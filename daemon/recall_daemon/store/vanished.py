"""Texts that a row said and says no more, whose vectors may have to go.

Whether another live row says the same takes a look at every row's hash, so a few edits only note
their texts here, and one look later settles them all.
"""

from __future__ import annotations

from collections.abc import Collection

from recall_daemon.store import statements
from recall_daemon.store.store import Connection

_DROP = """
DELETE FROM store.passages WHERE text_hash IN (
    SELECT text_hash FROM store.vanished_texts WHERE text_hash NOT IN (
        SELECT text_hash FROM store.memories
        WHERE state = 'live' AND text_hash IN (SELECT text_hash FROM store.vanished_texts)))
"""


def note(connection: Connection, text_hashes: Collection[str]) -> None:
    """These texts are said by one row less, inside the running transaction."""
    if text_hashes:
        statements.run(
            connection,
            "INSERT INTO store.vanished_texts SELECT DISTINCT text_hash FROM store.passages "
            f"WHERE text_hash IN {statements.places(1, len(text_hashes))}",
            sorted(text_hashes),
        )


def waiting(connection: Connection) -> bool:
    """Whether a text is noted that `drop` has not looked at. Read-only."""
    return bool(connection.execute("SELECT 1 FROM vanished_texts LIMIT 1").fetchall())


def drop(connection: Connection) -> None:
    """Drop the vectors of noted texts that no live row says, inside the running transaction."""
    connection.execute(_DROP).fetchall()
    connection.execute("DELETE FROM store.vanished_texts").fetchall()
