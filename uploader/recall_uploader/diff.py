"""What a source holds, set against what was sent of it.

Works in SQLite's temporary tables, which spill to disk, so that its memory does not grow with the
source. Writes nothing into the state.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable
from dataclasses import dataclass
from datetime import datetime
from itertools import islice

from recall_uploader.state import Change, State
from recall_wire.records import Record

_BATCH_ROWS = 1_000

_TABLES = (
    "DROP TABLE IF EXISTS temp.seen",
    "DROP TABLE IF EXISTS temp.changed",
    "DROP TABLE IF EXISTS temp.gone",
    "CREATE TEMP TABLE seen (target TEXT, memory_id TEXT, hash BLOB, ordinal INTEGER,"
    " PRIMARY KEY (target, memory_id)) WITHOUT ROWID",
    "CREATE TEMP TABLE changed (ordinal INTEGER PRIMARY KEY)",
    "CREATE TEMP TABLE gone (target TEXT, memory_id TEXT)",
)
_CHANGED = """
INSERT INTO temp.changed
SELECT s.ordinal FROM temp.seen s
LEFT JOIN main.rows r
  ON r.source = :source AND r.target = s.target AND r.memory_id = s.memory_id
WHERE (:all OR CASE WHEN r.hash IS NULL THEN NOT EXISTS
         (SELECT 1 FROM main.rows o
          WHERE o.target = s.target AND o.memory_id = s.memory_id AND o.hash = s.hash)
       ELSE r.hash <> s.hash END)
  AND NOT (s.target = '' AND EXISTS
           (SELECT 1 FROM main.forgotten f WHERE f.memory_id = s.memory_id))
"""
_GONE = """
INSERT INTO temp.gone
SELECT r.target, r.memory_id FROM main.rows r
WHERE r.source = :source AND NOT EXISTS
  (SELECT 1 FROM temp.seen s WHERE s.target = r.target AND s.memory_id = r.memory_id)
ORDER BY r.target, r.memory_id
"""


@dataclass(frozen=True, slots=True)
class Scan:
    """What the first pass over a source saw.

    `changed` rows are to be sent; `gone` rows were sent from this source and are not in it now. A
    row that another source has sent exactly so, a copy of this one perhaps, has not changed.
    """

    rows: int
    changed: int
    gone: int
    newest_time: datetime | None


def change_of(record: Record) -> Change:
    """What sending this row of a source means for the state."""
    return Change(record.target_system or "", record.memory_id, record.row_hash())


def delete_of(change: Change) -> Record:
    """The record that tells the hub of a row that is gone."""
    return Record(memory_id=change.memory_id, op="delete", target_system=change.target or None)


def time_of(record: Record) -> datetime | None:
    return record.updated_at or record.created_at


class Diff:
    """One comparison: `scan` first, then `changed` over the same rows in the same order."""

    def __init__(self, state: State, source_key: str) -> None:
        self._connection = state.connection
        self._source_key = source_key

    def scan(self, records: Iterable[Record], *, everything: bool = False) -> Scan:
        """Pass over the rows once. `everything`: unchanged rows are to be sent too."""
        for statement in _TABLES:
            self._connection.execute(statement)
        rows, newest_time = self._see(records)
        parameters = {"source": self._source_key, "all": everything}
        self._connection.execute(_CHANGED, parameters)
        self._connection.execute(_GONE, {"source": self._source_key})
        return Scan(
            rows=rows,
            changed=self._count("changed"),
            gone=self._count("gone"),
            newest_time=newest_time,
        )

    def changed(self, records: Iterable[Record]) -> Generator[Record]:
        """The rows to send, in the source's order."""
        ordinals = self._connection.execute("SELECT ordinal FROM temp.changed ORDER BY ordinal")
        wanted = ordinals.fetchone()
        for ordinal, record in enumerate(records):
            if wanted is None:
                return
            if ordinal == wanted[0]:
                yield record
                wanted = ordinals.fetchone()

    def gone(self) -> Generator[Change]:
        """The rows that were sent and are not in the source any more."""
        for target, memory_id in self._connection.execute("SELECT * FROM temp.gone ORDER BY rowid"):
            yield Change(target, memory_id, None)

    def _see(self, records: Iterable[Record]) -> tuple[int, datetime | None]:
        rows = 0
        newest: datetime | None = None
        numbered = enumerate(records)
        while batch := list(islice(numbered, _BATCH_ROWS)):
            rows += len(batch)
            newest = max(filter(None, (newest, *(time_of(r) for _, r in batch))), default=None)
            seen = ((change_of(record), ordinal) for ordinal, record in batch)
            self._connection.execute("BEGIN")
            self._connection.executemany(
                "INSERT OR REPLACE INTO temp.seen VALUES (?, ?, ?, ?)",
                ((c.target, c.memory_id, c.hash, ordinal) for c, ordinal in seen),
            )
            self._connection.execute("COMMIT")
        return rows, newest

    def _count(self, table: str) -> int:
        query = f"SELECT count(*) FROM temp.{table}"
        return int(self._connection.execute(query).fetchone()[0])
