"""What a person does with the outbox: look, send, take out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Literal

from recall_uploader.app import Instance
from recall_uploader.deliver import deliver
from recall_uploader.outbox import Broken, Outbox, Pending
from recall_uploader.recover import discard, recover
from recall_uploader.result import UploadResult
from recall_uploader.run import open_run
from recall_wire.errors import SettingsInvalid
from recall_wire.manifest import Manifest

Where = Literal["new", "sending", "failed"]


@dataclass(frozen=True, slots=True)
class Item:
    """A snapshot in the outbox. `reason` says why it cannot be sent, where it cannot."""

    seq: int
    where: Where
    kind: str
    rows: int
    bytes: int
    created_at: datetime | None
    pushed: bool
    reason: str = ""

    def as_dict(self) -> dict[str, object]:
        created_at = self.created_at.isoformat() if self.created_at else None
        return asdict(self) | {"created_at": created_at}


def items(instance: Instance) -> list[Item]:
    """Read-only, and without the lock: what lies there at this moment."""
    outbox = Outbox(instance.folder / "outbox")
    waiting: Sequence[Pending | Broken] = [*outbox.pending(), *outbox.broken()]
    return [*sorted(map(_item, waiting), key=lambda item: item.seq), *map(_item, outbox.failed())]


def manifest_of(instance: Instance, seq: int) -> Manifest:
    """Of a snapshot that waits, was taken out or was sent lately. Raises `SettingsInvalid`."""
    outbox = Outbox(instance.folder / "outbox")
    kept = [*outbox.pending(), *outbox.failed()]
    manifests = [item.manifest for item in kept if isinstance(item, Pending)]
    for manifest in [*manifests, *outbox.sent()]:
        if manifest.seq == seq:
            return manifest
    raise SettingsInvalid(
        f"the outbox has no snapshot {seq} that can be read",
        hint="`recall outbox list` shows what there is",
    )


def drain(instance: Instance) -> UploadResult:
    """Send what waits, without looking at any source."""
    with open_run(instance) as run:
        run.warnings += recover(run.spool)
        return deliver(run)


def take_out(instance: Instance, seqs: Sequence[int]) -> list[int]:
    """Discard snapshots that wait; their numbers are committed as void by the next run that sends.

    Their files lie in `failed/` then, and what their sources still hold is sent again. Raises
    `SettingsInvalid`, before anything is discarded, for a number that does not wait, or that the
    hub has already: taking that out would only leave a hole in the bucket.
    """
    with open_run(instance) as run:
        recover(run.spool)
        waiting = {item.seq: item for item in run.outbox.pending()}
        for seq in seqs:
            _check(waiting.get(seq), seq)
        for seq in dict.fromkeys(seqs):
            discard(run.spool, waiting[seq])
    return list(dict.fromkeys(seqs))


def _check(pending: Pending | None, seq: int) -> None:
    if pending is None or pending.manifest.kind == "void":
        raise SettingsInvalid(
            f"there is no snapshot {seq} waiting", hint="`recall outbox list` shows what there is"
        )
    if pending.pushed:
        raise SettingsInvalid(
            f"the hub has snapshot {seq} already",
            hint="it leaves the outbox when the bucket has it, too",
        )


def _item(entry: Pending | Broken) -> Item:
    where = _where(entry.folder.parent.name)
    if isinstance(entry, Broken):
        return Item(entry.seq, where, "", 0, 0, None, pushed=False, reason=entry.reason)
    manifest = entry.manifest
    return Item(
        entry.seq,
        where,
        manifest.kind,
        manifest.rows,
        entry.bytes,
        manifest.created_at,
        pushed=entry.pushed,
    )


def _where(name: str) -> Where:
    return "sending" if name == "sending" else "failed" if name == "failed" else "new"
