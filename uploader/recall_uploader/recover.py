"""After a crash: make the state, the numbers and the folders of the outbox agree again."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace

from recall_uploader.diff import change_of
from recall_uploader.errors import SystemClash
from recall_uploader.outbox import Broken, Pending
from recall_uploader.snapshot_file import read_records
from recall_uploader.spool import FORGET, Spool
from recall_uploader.state import Change, State
from recall_wire.errors import SnapshotInvalid
from recall_wire.records import Record

REMEDY = (
    "run `recall init --adopt` to go on with this system from this machine, or set a system_id "
    "and a state_dir of its own"
)


def recover(spool: Spool) -> list[str]:
    """Idempotent; returns what a person should know.

    A broken snapshot is set aside. A folder that the state does not know is read, so that its
    rows count as spooled. A number without a folder is spooled as void, since it was allotted
    and must not be a hole, and its rows are sent again.
    """
    state, outbox = spool.state, spool.outbox
    warnings = [_drop(spool, broken) for broken in outbox.broken()]
    for pending in outbox.pending():
        _check_own(state, pending)
        try:
            if pending.seq >= state.next_seq:
                _learn(state, pending)
        except SnapshotInvalid as error:
            warnings.append(_drop(spool, Broken(pending.seq, pending.folder, str(error))))
    known = {pending.seq for pending in outbox.pending()}
    for seq in range(state.settled_seq + 1, state.next_seq):
        if seq not in known:
            state.unlearn(seq)
            spool.void(seq)
    outbox.tidy()
    return warnings


def discard(spool: Spool, pending: Pending) -> None:
    """Take a snapshot out of the outbox for good; its number is committed as void.

    Its rows are sent again under a later number when their source is uploaded next. Where its
    manifest had reached the bucket already, it stays delivered.
    """
    spool.state.unlearn(pending.seq)
    spool.outbox.set_aside(pending.folder)
    spool.void(pending.seq)


def set_all_aside(spool: Spool) -> int:
    """Before a new identity: what waits goes to `failed/` and its rows are to be sent again."""
    waiting = spool.outbox.pending()
    for pending in waiting:
        with suppress(SnapshotInvalid):  # then only what the state knows of it is sent again
            if pending.seq >= spool.state.next_seq:
                _learn(spool.state, pending)
        spool.state.unlearn(pending.seq)
        spool.outbox.set_aside(pending.folder)
    for broken in spool.outbox.broken():
        spool.outbox.set_aside(broken.folder)
    return len(waiting)


def _drop(spool: Spool, broken: Broken) -> str:
    spool.state.unlearn(broken.seq)
    place = spool.outbox.set_aside(broken.folder)
    return (
        f"snapshot {broken.seq} in the outbox was damaged ({broken.reason}); it lies in {place} "
        "now, and its rows are sent again"
    )


def _check_own(state: State, pending: Pending) -> None:
    ours, theirs = state.identity, pending.manifest
    if (theirs.system_id, theirs.machine) != (ours.system_id, ours.machine):
        raise SystemClash(
            f"the outbox holds snapshot {pending.seq} of system {theirs.system_id}, made on "
            "another machine or under another system id",
            hint=REMEDY,
        )


def _learn(state: State, pending: Pending) -> None:
    manifest = pending.manifest
    if manifest.source == FORGET.source:
        ids = [record.memory_id for record in _records(pending) if record.op == "forget"]
        state.learn_forgotten(pending.seq, ids)
        return
    source_key, _, raw_sha256 = (manifest.watermark or "").partition(" ")
    newest = max((file.max_time for file in manifest.files if file.max_time), default=None)
    changes = (_change(record) for record in _records(pending))
    state.learn(
        pending.seq,
        source_key,
        changes,
        newest_time=newest,
        raw_sha256=raw_sha256 or None,
    )


def _change(record: Record) -> Change:
    change = change_of(record)
    return replace(change, hash=None) if record.op == "delete" else change


def _records(pending: Pending) -> Iterator[Record]:
    for file in pending.manifest.files:
        if file.format == "parquet":
            yield from read_records(pending.path(file))
