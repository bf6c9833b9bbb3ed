"""A validated snapshot into the store: chunks of rows, each with the ledger in one transaction."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.ipc

from recall_daemon.agents.config import NO_AGENTS, Agents
from recall_daemon.ingest import compare
from recall_daemon.ingest.fetch import Spooled
from recall_daemon.ingest.validate import ReadResult
from recall_daemon.store import arriving, events, ledger, merge, vectors
from recall_daemon.store.forget import note_forgotten
from recall_daemon.store.ledger import Entry, Place
from recall_daemon.store.store import Connection, Store
from recall_wire.errors import SnapshotInvalid

# A chunk holds the writer for about a second, so that no system holds it for long, and fits into
# the store's memory whatever the texts are.
CHUNK_ROWS = 50_000
CHUNK_BYTES = 64 << 20


@dataclass(frozen=True)
class Outcome:
    """What merging a snapshot did."""

    place: Place
    rows: int
    deletes: int
    changed: int
    vectors: int


def settled(entry: Entry) -> Outcome:
    """What merging a snapshot does that is merged already."""
    return Outcome(entry.place, entry.rows, entry.deletes, changed=0, vectors=0)


@dataclass(frozen=True)
class Ticket:
    """What a merge needs to know beside the rows."""

    origin: ledger.Origin
    space_id: str | None
    now: datetime
    agents: Agents = NO_AGENTS


def merge_snapshot(
    store: Store, spooled: Spooled, read: ReadResult | None, ticket: Ticket
) -> Outcome:
    """Merge every row that was read; `read` is None for a void snapshot.

    Idempotent, and goes on where a crash cut it off. The last chunk's transaction marks the ledger
    entry merged. Raises `MemoryLocked` while a memory of another system is locked that it edits,
    and `SnapshotInvalid` for rows that address another system's memories.
    """
    if read is None:
        step = store.write(lambda connection: _step(connection, spooled, None, None, ticket))
        return Outcome(step.entry.place, 0, 0, 0, 0)
    with store.read() as connection:
        _check_targets(connection, spooled.system_id, read, ticket)
        rows_done = _current(connection, spooled, ticket).rows_done
    changed = kept = 0
    for chunk in _chunks(read, after=rows_done):
        step = store.write(
            lambda connection, rows=chunk: _step(  # type: ignore[misc]
                connection, spooled, read, rows, ticket
            )
        )
        changed, kept = changed + step.changed, kept + step.vectors
    return Outcome(step.entry.place, read.upserts, read.deletes, changed, kept)


@dataclass(frozen=True)
class _Step:
    entry: Entry
    changed: int
    vectors: int


def _step(
    connection: Connection,
    spooled: Spooled,
    read: ReadResult | None,
    rows: pa.Table | None,
    ticket: Ticket,
) -> _Step:
    """One transaction: a chunk of rows, their vectors, and how far the ledger says we are.

    What a push forgets is noted in the journal: no bucket has that snapshot.
    """
    ledger.see_system(connection, spooled.system_id, ticket.now)
    entry = _current(connection, spooled, ticket)
    changed = kept = 0
    if read is not None and rows is not None:
        taken, weighed = arriving.split(connection, entry.place, rows)
        for arrival in weighed:  # again: a grant may have been taken back since
            if arrival.is_foreign:
                _check_target(connection, spooled.system_id, arrival.name, ticket)
        arriving.check_locks(connection, weighed, ticket.now)
        merged = merge.merge_rows(connection, entry.place, taken, ticket.now)
        changed = merged.changed
        changed += arriving.weigh_all(connection, weighed, ticket.agents, ticket.now)
        if entry.origin == "push":
            gone = [(entry.place.system_id, memory_id) for memory_id in merged.forgotten]
            note_forgotten(connection, gone, ticket.now)
        kept = _keep_vectors(connection, spooled, rows, ticket.space_id)
        entry = replace(
            entry,
            rows=read.upserts,
            deletes=read.deletes,
            rows_done=entry.rows_done + rows.num_rows,
        )
    if read is None or entry.rows_done >= read.rows:
        entry = replace(entry, state="merged", settled_at=ticket.now, reason=None)
        _note_writer(connection, spooled, ticket.now)
        if entry.origin == "bare":
            ledger.close_older_bare(connection, entry)
        _tell_merged(connection, entry, ticket.now)
    ledger.record(connection, entry)
    return _Step(entry, changed, kept)


def _current(connection: Connection, spooled: Spooled, ticket: Ticket) -> Entry:
    """The snapshot's ledger entry as it stands, or a new one with its place."""
    manifest = spooled.manifest
    if manifest is None:
        found = ledger.newest_bare(connection).get(spooled.locator)
        open_entry = found if found and found.etag == spooled.etag else None
        place = open_entry.place if open_entry else ledger.next_sub(connection, spooled.system_id)
    else:
        place = Place(spooled.system_id, manifest.seq)
        open_entry = ledger.find(connection, place)
    new = Entry(
        place=place,
        origin=ticket.origin,
        locator=spooled.locator,
        etag=spooled.etag,
        state="merging",
        kind=manifest.kind if manifest else "bare",
        manifest_sha256=spooled.manifest_sha256,
        bytes=spooled.bytes,
        created_at=spooled.created_at,
        first_seen_at=open_entry.first_seen_at if open_entry else ticket.now,
    )
    if open_entry and open_entry.state == "merging" and open_entry.etag == spooled.etag:
        return replace(new, rows_done=open_entry.rows_done)
    return new


def _keep_vectors(
    connection: Connection, spooled: Spooled, rows: pa.Table, space_id: str | None
) -> int:
    """Vectors that came along are used only where their declared space is the hub's own."""
    declared = spooled.embedding
    if declared is None or space_id is None or declared.space_id != space_id:
        return 0
    return vectors.take_from_snapshot(connection, space_id, rows)


def _note_writer(connection: Connection, spooled: Spooled, now: datetime) -> None:
    """Remember who writes a system, and notice a second writer that the bucket let through."""
    system = ledger.systems(connection)[spooled.system_id]
    values: dict[str, object] = {"last_merged_at": now}
    manifest = spooled.manifest
    if manifest is not None and manifest.seq > ledger.highest_settled(
        connection, spooled.system_id
    ):
        values |= {"machine": manifest.machine, "instance_id": manifest.instance_id}
        is_told = compare.DIFFERS in (system.clash or "")
        if manifest.kind == "full":
            values["clash"] = None
        # An instance that lost its state goes on: what it is told stands.
        elif system.instance_id not in (None, manifest.instance_id) and not is_told:
            values["clash"] = (
                f"snapshot {manifest.seq} came from another instance than the one before; "
                "give each instance a system id of its own"
            )
            body = {"seq": manifest.seq, "reason": values["clash"]}
            events.append(connection, "conflict", spooled.system_id, body, now)
    ledger.update_system(connection, spooled.system_id, **values)


def _tell_merged(connection: Connection, entry: Entry, now: datetime) -> None:
    place = entry.place
    body = {
        "seq": place.seq,
        "sub": place.sub,
        "origin": entry.origin,
        "rows": entry.rows,
        "deletes": entry.deletes,
    }
    events.append(connection, "snapshot.merged", place.system_id, body, now)


def _check_targets(
    connection: Connection, system_id: str, read: ReadResult, ticket: Ticket
) -> None:
    """Before anything of the snapshot is merged."""
    for chunk in _chunks(read, after=0):
        for target, memory_id, op in arriving.targets(chunk, system_id):
            _check_target(connection, system_id, (target, memory_id), ticket)
            if op != "upsert":
                raise SnapshotInvalid(
                    f"a row would {op} a memory of system {target!r}",
                    hint=f"{system_id} may edit it, and no more",
                )


def _check_target(
    connection: Connection, system_id: str, name: tuple[str, str], ticket: Ticket
) -> None:
    if not arriving.may_edit(connection, ticket.agents, system_id, name, ticket.now):
        raise SnapshotInvalid(
            f"a row addresses memories of system {name[0]!r}",
            hint=f"{system_id} may write its own memories only",
        )


def _chunks(read: ReadResult, *, after: int) -> Iterator[pa.Table]:
    """The rows from position `after` on, a chunk at a time; once, empty, if none."""
    with pa.memory_map(str(read.path)) as source:
        reader = pa.ipc.open_file(source)
        gathered: list[pa.RecordBatch] = []
        for number in range(reader.num_record_batches):
            batch = reader.get_batch(number)
            if gathered and _too_much([*gathered, batch]):
                yield from _after(pa.Table.from_batches(gathered), after)
                gathered = []
            gathered.append(batch)
        last = pa.Table.from_batches(gathered, schema=reader.schema)
        yield from _after(last, after)
        if not last.num_rows or last["row_no"][-1].as_py() < after:
            yield last.slice(0, 0)


def _too_much(batches: list[pa.RecordBatch]) -> bool:
    rows = sum(batch.num_rows for batch in batches)
    size = sum(batch.nbytes for batch in batches)
    return bool(rows > CHUNK_ROWS or size > CHUNK_BYTES)


def _after(rows: pa.Table, after: int) -> Iterator[pa.Table]:
    kept = rows.filter(pc.greater_equal(rows["row_no"], after)) if after else rows
    if kept.num_rows:
        yield kept
