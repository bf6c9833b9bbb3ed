"""A range of rows as what is derived from them must have it, and how far it was compared."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from recall_daemon.store import ledger
from recall_daemon.store.store import Connection

_FACT = "reconciliation"


@dataclass(frozen=True)
class StoredRow:
    """A row's newest change; `text_hash` None: no text, or not live."""

    row_id: int
    change_no: int
    is_live: bool
    text_hash: str | None


@dataclass(frozen=True)
class StoredText:
    """A text's passages that an index can compare: how many, the last change of those, and the last
    of all."""

    text_hash: str
    passages: int
    change_no: int | None
    newest: int


def rows_between(connection: Connection, first: int, last: int) -> list[StoredRow]:
    """The rows `first` to `last`, both included, in whatever state."""
    rows = connection.execute(
        "SELECT row_id, change_no, state = 'live', text_hash FROM memories "
        "WHERE row_id BETWEEN ? AND ?",
        [first, last],
    ).fetchall()
    return [StoredRow(*row) for row in rows]


def texts(
    connection: Connection, space_id: str, text_hashes: Sequence[str], largest: float
) -> list[StoredText]:
    """Those of the texts that have passages; one with a number beyond `largest` does not count."""
    usable = "coalesce(127 * scale, greatest(list_max(vector), -list_min(vector))) <= $largest"
    rows = connection.execute(
        f"SELECT text_hash, count(*) FILTER ({usable}), max(change_no) FILTER ({usable}), "
        "max(change_no) FROM passages "
        "WHERE space_id = $space_id AND text_hash IN (SELECT unnest($hashes::VARCHAR[])) "
        "GROUP BY text_hash",
        {"space_id": space_id, "hashes": list(text_hashes), "largest": largest},
    ).fetchall()
    return [StoredText(*row) for row in rows]


def last_row(connection: Connection) -> int:
    """The highest number that a row was ever given."""
    rows = connection.execute("SELECT value FROM counters WHERE name = 'row_id'").fetchall()
    return int(rows[0][0])


@dataclass(frozen=True)
class Pass:
    """A pass over all rows: from when to when (ISO 8601), how many were compared, and how many of
    what kind were repaired."""

    began_at: str
    ended_at: str | None = None
    rows: int = 0
    repaired: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Standing:
    """How far it is: the rows up to `upto` are done in this pass; `last` is the one before."""

    upto: int = 0
    now: Pass | None = None
    last: Pass | None = None


def standing(connection: Connection) -> Standing:
    """How far the comparison is; the beginning where there was none."""
    told = ledger.fact(connection, _FACT)
    if told is None:
        return Standing()
    said: dict[str, Any] = json.loads(told)
    passes = {name: said[name] and Pass(**said[name]) for name in ("now", "last")}
    return Standing(said["upto"], **passes)


def set_standing(connection: Connection, standing: Standing) -> None:
    ledger.set_fact(connection, _FACT, json.dumps(asdict(standing)))
