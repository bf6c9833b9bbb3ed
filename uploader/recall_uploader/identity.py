"""Whose system is it: this machine, this state folder and the bucket must tell one story."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from recall_uploader.errors import SystemClash
from recall_uploader.outbox import Pending
from recall_uploader.recover import REMEDY
from recall_uploader.retry import Retry
from recall_uploader.state import Committed, Identity, State
from recall_wire import layout
from recall_wire.buckets.base import Bucket
from recall_wire.errors import ManifestInvalid, ObjectNotFound
from recall_wire.manifest import (
    HEAD_MAX_BYTES,
    MANIFEST_MAX_BYTES,
    Head,
    parse_head,
    parse_manifest,
    sha256_hex,
)


@dataclass(frozen=True, slots=True)
class Newest:
    """The newest snapshot a bucket holds of a system. `machine` empty: nobody can tell whose.

    A head does not say which instance wrote it, so `instance_id` is empty where one was read.
    """

    seq: int
    manifest_sha256: str
    machine: str
    head_seq: int = 0
    instance_id: str = ""

    @property
    def committed(self) -> Committed:
        return Committed(self.seq, self.manifest_sha256)


NOTHING = Newest(0, "", "")


def newest_in_bucket(bucket: Bucket, system_id: str, retry: Retry) -> Newest:
    """The head, or the highest manifest where one lies beyond it: one GET and one LIST.

    A head that is absent or not readable counts as none; then every manifest is listed.
    """
    head = _head(bucket, system_id, retry)
    beyond = retry(lambda: _highest_manifest(bucket, system_id, head.seq if head else 0))
    if beyond is not None:
        data = retry(
            lambda: bucket.get(layout.manifest_key(system_id, beyond), max_bytes=MANIFEST_MAX_BYTES)
        )
        machine, instance_id = _writer(data, system_id, beyond)
        head_seq = head.seq if head else 0
        return Newest(beyond, sha256_hex(data), machine, head_seq, instance_id)
    if head is not None:
        return Newest(head.seq, head.manifest_sha256, head.machine, head.seq)
    return NOTHING


def check_machine(state: State, machine: str, system_id: str | None) -> None:
    """Raises `SystemClash` where the state folder is another machine's or another system's."""
    identity = state.identity
    if identity.machine != machine:
        raise SystemClash(
            f"this state folder of system {identity.system_id} was made on another machine",
            hint=REMEDY,
        )
    if system_id is not None and identity.system_id != system_id:
        raise SystemClash(
            f"this state folder belongs to system {identity.system_id}, the settings say "
            f"{system_id}",
            hint=REMEDY,
        )


def check_unclaimed(newest: Newest, machine: str, system_id: str) -> None:
    """Without a state: raises `SystemClash` where another machine wrote the newest snapshot."""
    if newest.seq and newest.machine != machine:
        raise SystemClash(
            f"system {system_id} in the bucket was written by another machine", hint=REMEDY
        )


def newest_told(bucket: Bucket, state: State, waiting: Sequence[Pending], retry: Retry) -> Newest:
    """The newest in the bucket, once it is known that it tells this state's story.

    Raises `SystemClash`, as `check_story`. One GET more where a head stands at a voided number.
    """
    system_id = state.identity.system_id
    newest = newest_in_bucket(bucket, system_id, retry)
    if newest.seq in _voided(waiting) and newest.seq == newest.head_seq:
        instance_id = _instance_under(newest, bucket, system_id, retry)
        newest = replace(newest, instance_id=instance_id)
    check_story(state, waiting, newest)
    return newest


def check_story(state: State, waiting: Sequence[Pending], newest: Newest) -> None:
    """Raises `SystemClash` where the bucket holds what this state folder never wrote.

    That is a copied state folder, one restored from a backup, or another bucket.
    """
    committed, system_id = state.committed, state.identity.system_id
    ours = {pending.seq: pending.sha256 for pending in waiting}
    ours[committed.seq] = committed.manifest_sha256
    if newest.seq < committed.seq:
        raise SystemClash(
            f"snapshot {committed.seq} of system {system_id} was delivered, but the bucket ends "
            f"at {newest.seq}: it was restored, emptied, or is another one",
            hint=REMEDY,
        )
    if committed.seq < newest.seq < state.first_seq and newest.machine == state.identity.machine:
        return  # of this machine's life before, when the bucket could not be asked
    if newest.seq in _voided(waiting) and newest.instance_id == state.identity.instance_id:
        return  # taken out of the outbox after its manifest had arrived
    if ours.get(newest.seq) != newest.manifest_sha256:
        raise SystemClash(
            f"the bucket holds snapshot {newest.seq} of system {system_id}, which this state "
            "folder never wrote: it is a copy or was restored, or two instances share the id",
            hint=REMEDY,
        )


def new_identity(system_id: str, machine: str) -> Identity:
    return Identity.new(layout.check_system_id(system_id), machine)


def _voided(waiting: Sequence[Pending]) -> set[int]:
    return {pending.seq for pending in waiting if pending.manifest.kind == "void"}


def _instance_under(newest: Newest, bucket: Bucket, system_id: str, retry: Retry) -> str:
    """Who wrote the manifest that a head names; empty where it is not the one lying there."""
    key = layout.manifest_key(system_id, newest.seq)
    try:
        data = retry(lambda: bucket.get(key, max_bytes=MANIFEST_MAX_BYTES))
    except ObjectNotFound:
        return ""
    if sha256_hex(data) != newest.manifest_sha256:
        return ""
    return _writer(data, system_id, newest.seq)[1]


def _head(bucket: Bucket, system_id: str, retry: Retry) -> Head | None:
    try:
        data = retry(lambda: bucket.get(layout.head_key(system_id), max_bytes=HEAD_MAX_BYTES))
        return parse_head(data, system_id=system_id)
    except (ObjectNotFound, ManifestInvalid):
        return None


def _highest_manifest(bucket: Bucket, system_id: str, after_seq: int) -> int | None:
    prefix = layout.snapshots_prefix(system_id)
    # "~" sorts after "/", so everything of snapshot `after_seq` is passed over.
    start = f"{prefix}{after_seq:0{layout.SEQ_DIGITS}d}~"
    highest: int | None = None
    for page in bucket.list(prefix, start_after=start):
        for item in page.objects:
            key = layout.parse_key(item.key)
            if isinstance(key, layout.SnapshotKey) and key.is_manifest:
                highest = max(highest or 0, key.seq)
    return highest


def _writer(data: bytes, system_id: str, seq: int) -> tuple[str, str]:
    """The manifest's machine and instance; empty where it is not readable."""
    try:
        manifest = parse_manifest(data, system_id=system_id, seq=seq)
    except ManifestInvalid:
        return "", ""
    return manifest.machine, manifest.instance_id
