"""Embedding spaces: the one that serves, the one being built, and what is left of others."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from recall_daemon.store import pending
from recall_daemon.store.store import Connection

SpaceState = Literal["serving", "building"]


@dataclass(frozen=True)
class Space:
    """A space the hub has passages of. `model` is JSON: how its model is opened again."""

    space_id: str
    state: SpaceState
    model: str
    since: datetime

    @property
    def revision(self) -> str:
        return revision_of(self.space_id)


def revision_of(space_id: str) -> str:
    """The part of the id (`model@revision:dim`) that tells one set of weights from another."""
    return space_id.rpartition("@")[2].partition(":")[0]


def listed(connection: Connection) -> dict[SpaceState, Space]:
    """The serving space and the one being built, each where there is one."""
    rows = connection.execute("SELECT space_id, state, model, since FROM spaces").fetchall()
    return {row[1]: Space(*row) for row in rows}


def settle(connection: Connection, space_id: str, model: str, now: datetime) -> None:
    """Have the hub's model be that of `space_id`, inside the running transaction. Idempotent.

    Where no space serves yet it serves at once; where it serves already, a half-built other one
    is given up; else it is being built, in place of any other that was.
    """
    now_there = listed(connection)
    serving, building = now_there.get("serving"), now_there.get("building")
    if building is not None and building.space_id != space_id:
        _remove(connection, building.space_id)
    if serving is None:
        _insert(connection, Space(space_id, "serving", model, now))
    elif serving.space_id == space_id:
        # The same weights in another place: it is opened from there the next time.
        connection.execute("UPDATE spaces SET model = ? WHERE space_id = ?", [model, space_id])
    elif building is None or building.space_id != space_id:
        _insert(connection, Space(space_id, "building", model, now))


def switch(connection: Connection, space_id: str, now: datetime, *, besides: list[str]) -> bool:
    """Let the space that is being built serve, if it lacks no text but those in `besides`.

    False where it lacks one, which may have come since it was last looked. The space that served
    is no longer listed: its passages are left to `drop_unlisted`.
    """
    if pending.backlog_size(connection, space_id, besides=besides):
        return False
    serving = listed(connection).get("serving")
    if serving is not None and serving.space_id != space_id:
        _remove(connection, serving.space_id)
    connection.execute(
        "UPDATE spaces SET state = 'serving', since = ? WHERE space_id = ?", [now, space_id]
    )
    return True


def drop_unlisted(connection: Connection, limit: int) -> int:
    """Delete at most `limit` passages of spaces that are not listed; returns how many."""
    rows = connection.execute(
        "DELETE FROM passages WHERE rowid IN ("
        "SELECT rowid FROM passages WHERE space_id NOT IN (SELECT space_id FROM spaces) LIMIT ?"
        ") RETURNING 1",
        [limit],
    ).fetchall()
    return len(rows)


def unlisted(connection: Connection) -> list[str]:
    """The spaces that have passages and are not listed."""
    rows = connection.execute(
        "SELECT DISTINCT space_id FROM passages "
        "WHERE space_id NOT IN (SELECT space_id FROM spaces) ORDER BY space_id"
    ).fetchall()
    return [row[0] for row in rows]


def unlisted_revisions(connection: Connection) -> set[str]:
    """The weights of those spaces, but for weights that a listed space has, too."""
    used = {space.revision for space in listed(connection).values()}
    return {revision_of(space_id) for space_id in unlisted(connection)} - used


def texts_done(connection: Connection, space_id: str) -> int:
    """How many distinct texts have their passages in the space."""
    rows = connection.execute(
        "SELECT count(*) FROM passages WHERE space_id = ? AND passage = 0 AND passages IS NOT NULL",
        [space_id],
    ).fetchall()
    return int(rows[0][0])


def texts(connection: Connection) -> int:
    """How many distinct texts live rows have."""
    rows = connection.execute(
        "SELECT count(DISTINCT text_hash) FROM memories WHERE state = 'live'"
    ).fetchall()
    return int(rows[0][0])


def _insert(connection: Connection, space: Space) -> None:
    connection.execute(
        "INSERT INTO spaces (space_id, state, model, since) VALUES (?, ?, ?, ?)",
        [space.space_id, space.state, space.model, space.since],
    )


def _remove(connection: Connection, space_id: str) -> None:
    connection.execute("DELETE FROM spaces WHERE space_id = ?", [space_id])
