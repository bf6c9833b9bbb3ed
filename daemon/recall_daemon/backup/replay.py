"""The bucket's log into a store that is being restored."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from recall_daemon.access import tokens
from recall_daemon.backup.log_objects import read_log
from recall_daemon.store import journal, post_entries, posts, side_tables, versions
from recall_daemon.store.forget import forget_rows
from recall_daemon.store.journal import JournalEntry
from recall_daemon.store.store import Connection, Store
from recall_wire.buckets.base import Bucket

BATCH_ENTRIES = 100


def _forget(connection: Connection, entry: JournalEntry) -> None:
    """Body: `{identities: [[system_id, memory_id], …], …}`."""
    identities = [(str(system), str(memory)) for system, memory in entry.body["identities"]]
    forget_rows(connection, identities, entry.entry_no, entry.happened_at)


def _post(connection: Connection, entry: JournalEntry) -> None:
    posts.replay(connection, entry.body, entry.happened_at)


def _token(connection: Connection, entry: JournalEntry) -> None:
    tokens.replay(connection, entry.body, entry.happened_at)


def _rows(connection: Connection, entry: JournalEntry) -> None:
    side_tables.replay(connection, entry.body)


def _version(connection: Connection, entry: JournalEntry) -> None:
    versions.replay(connection, entry.body, entry.happened_at)


# How each kind of entry is done again. Each must be idempotent.
Replay = Callable[[Connection, JournalEntry], None]
KINDS: Mapping[str, Replay] = {
    "forget": _forget,
    post_entries.KIND: _post,
    tokens.KIND: _token,
    side_tables.KIND: _rows,
    versions.KIND: _version,
}

# What is final whenever it was done: going back in time does not bring it back.
FINAL = frozenset({"forget", tokens.KIND})


@dataclass(frozen=True)
class Replayed:
    """How many entries were applied, and one sentence for each thing that could not be."""

    entries: int
    problems: tuple[str, ...]


def replay(store: Store, bucket: Bucket, hub_id: str, *, to: datetime | None) -> Replayed:
    """Apply what the log has and the store has not, up to `to`; forgets apply whenever they were.

    New entries of this store come after all that the log holds. Idempotent.
    """
    with store.read() as connection:
        after = journal.last(connection)
    log = read_log(bucket, hub_id, after=after)
    wanted = [e for e in log.entries if to is None or e.kind in FINAL or e.happened_at <= to]
    known = [entry for entry in wanted if entry.kind in KINDS]
    for start in range(0, len(known), BATCH_ENTRIES):
        batch = known[start : start + BATCH_ENTRIES]
        store.write(lambda connection, batch=batch: _apply(connection, batch))  # type: ignore[misc]
    if log.entries:
        last = log.entries[-1].entry_no
        store.write(lambda connection: journal.skip_to(connection, last))
    return Replayed(len(known), (*log.problems, *_notes(wanted, to)))


def _apply(connection: Connection, entries: Sequence[JournalEntry]) -> None:
    for entry in entries:
        KINDS[entry.kind](connection, entry)


def _notes(wanted: Sequence[JournalEntry], to: datetime | None) -> list[str]:
    unknown: Counter[str] = Counter(e.kind for e in wanted if e.kind not in KINDS)
    notes = [
        f"{count} log entries of kind {kind!r}, which this recalld does not know"
        for kind, count in sorted(unknown.items())
    ]
    forgets = [entry for entry in wanted if entry.kind == "forget"]
    late = sum(1 for entry in forgets if to is not None and entry.happened_at > to)
    if late:
        notes.append(f"what {late} later forgets named: forgetting is final, they were applied")
    return notes
