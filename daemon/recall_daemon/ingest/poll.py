"""Who has news: one LIST of `heads/`, then the snapshots of the systems whose head changed."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from recall_daemon.store.ledger import Known
from recall_wire import layout
from recall_wire.buckets.base import AsyncBucket, ObjectInfo

_WAL = ".wal"
_DELIMITER = "/snapshots/"

# A number further than this beyond its system's others is a mistake or an attack, not a snapshot.
MAX_SEQ_JUMP = 10_000
MAX_FIRST_SEQ = 10**9


@dataclass(frozen=True)
class HeadNews:
    """A head whose ETag is not the remembered one, and when it was written."""

    system_id: str
    etag: str
    announced_at: datetime


@dataclass(frozen=True)
class Found:
    """A committed snapshot: its manifest is in the bucket, with this ETag.

    One that was `pushed` is merged: only its manifest is compared with the one that came then.
    """

    system_id: str
    seq: int
    etag: str | None
    pushed: bool = False


@dataclass(frozen=True)
class FoundBare:
    """A snapshot without a manifest, with its write-ahead log where there is one."""

    system_id: str
    key: str
    etag: str
    bytes: int
    wal: ObjectInfo | None = None

    @property
    def version(self) -> str:
        """Changes when the file or its log changes."""
        return f"{self.etag}+{self.wal.etag}" if self.wal else self.etag


async def changed_heads(bucket: AsyncBucket, remembered: Mapping[str, str]) -> list[HeadNews]:
    """The systems with news. One LIST per 1,000 systems, no other request."""
    news = []
    async for page in bucket.list(layout.HEADS):
        for found in page.objects:
            system_id = layout.parse_head_key(found.key)
            if system_id is not None and remembered.get(system_id) != found.etag:
                news.append(HeadNews(system_id, found.etag, found.modified_at))
    return news


async def new_snapshots(bucket: AsyncBucket, system_id: str, after_seq: int) -> list[Found]:
    """The committed snapshots of one system above `after_seq`, in order."""
    start_after = layout.snapshot_prefix(system_id, after_seq) + "~" if after_seq else ""
    prefix = layout.snapshots_prefix(system_id)
    return [
        found
        async for page in bucket.list(prefix, start_after=start_after)
        for found in _manifests(page.objects)
    ]


async def all_snapshots(bucket: AsyncBucket) -> AsyncIterator[Found]:
    """Every committed snapshot in the bucket: what a full reconcile compares with the ledger."""
    async for page in bucket.list(layout.SYSTEMS):
        for found in _manifests(page.objects):
            yield found


def sort_out(
    found: list[Found], known: Mapping[int, Known], head_seq: int | None
) -> tuple[list[Found], list[Found]]:
    """What to fetch of the snapshots found, in order, and those whose number is not believable.

    Left out is what the ledger knows, but for a quarantined one whose manifest has changed, one
    that was pushed and cut off, one that was pushed and is seen in the bucket for the first time,
    and a refused one that the others have come near to.
    """
    fetch: list[Found] = []
    refuse: list[Found] = []
    highest = max((seq for seq, entry in known.items() if entry.in_order), default=0)
    for item in sorted(found, key=lambda item: item.seq):
        entry = known.get(item.seq)
        if entry and entry.is_uncompared:
            fetch.append(replace(item, pushed=True))
            continue
        if entry and not _wanted_again(entry, item):
            continue
        # A hub that starts late, after the first snapshots have expired, takes the head's word.
        start = 0 if highest else min(head_seq or 0, MAX_FIRST_SEQ)
        if item.seq <= max(highest, start) + MAX_SEQ_JUMP:
            fetch.append(item)
            highest = max(highest, item.seq)
        elif entry is None or entry.etag != item.etag:
            refuse.append(item)
    return fetch, refuse


def _wanted_again(entry: Known, item: Found) -> bool:
    if entry.state == "quarantined":
        return entry.etag != item.etag
    cut_off = entry.origin == "push" and entry.state in ("waiting", "merging")
    return cut_off or entry.state == "refused"


async def bare_objects(bucket: AsyncBucket) -> list[FoundBare] | None:
    """The objects under `systems/` that lie in no snapshot; None where the delimiter is ignored.

    One LIST returns them and one prefix per system, however many snapshots there are.
    """
    found: dict[str, FoundBare] = {}
    logs: dict[str, ObjectInfo] = {}
    async for page in bucket.list(layout.SYSTEMS, delimiter=_DELIMITER):
        for item in page.objects:
            if _DELIMITER in item.key:
                return None
            if item.key.endswith(_WAL):
                logs[item.key.removesuffix(_WAL)] = item
            parsed = layout.parse_key(item.key)
            if isinstance(parsed, layout.BareKey):
                found[item.key] = FoundBare(parsed.system_id, item.key, item.etag, item.bytes)
    return [replace(bare, wal=logs.get(key)) for key, bare in sorted(found.items())]


def _manifests(objects: tuple[ObjectInfo, ...]) -> list[Found]:
    parsed = [(layout.parse_key(item.key), item.etag) for item in objects]
    return [
        Found(key.system_id, key.seq, etag)
        for key, etag in parsed
        if isinstance(key, layout.SnapshotKey) and key.is_manifest
    ]
