"""After sending: does the bucket hold what it said it stored?"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from recall_uploader.outbox import Pending
from recall_uploader.retry import Retry
from recall_wire import layout
from recall_wire.buckets.base import Bucket
from recall_wire.errors import BucketRefused, ObjectNotFound
from recall_wire.manifest import HEAD_MAX_BYTES


def check_stored(bucket: Bucket, sent: Sequence[Pending], retry: Retry) -> None:
    """One LIST for up to 1,000 objects of a run. Raises `BucketRefused` where one is not there.

    A full disk behind a gateway, a misrouted proxy or a mock answers 200 and keeps nothing; what
    was sent must then stay in the outbox.
    """
    if not sent:
        return
    held = retry(lambda: _held(bucket, sent[0].manifest.system_id, sent[0].seq))
    for key, size in _expected(sent):
        # A listing may lag behind on some endpoints; the object itself does not.
        if held.get(key) != size and _size(bucket, key, retry) != size:
            raise _not_held(bucket, key)


def check_head(bucket: Bucket, key: str, written: bytes, retry: Retry) -> None:
    """One GET a run. Raises `BucketRefused` where the head is not the one just written: a hub
    would look no further than the old one until its daily reconcile."""
    try:
        held = retry(lambda: bucket.get(key, max_bytes=HEAD_MAX_BYTES))
    except ObjectNotFound:
        held = b""
    if held != written:
        raise _not_held(bucket, key)


def _not_held(bucket: Bucket, key: str) -> BucketRefused:
    return BucketRefused(
        f"{bucket.url} said that it stored {key}, but does not hold it",
        hint="see to the bucket or the proxy before it; `recall doctor` tries it",
    )


def _expected(sent: Sequence[Pending]) -> Iterator[tuple[str, int]]:
    for pending in sent:
        system_id, seq = pending.manifest.system_id, pending.seq
        for file in pending.manifest.files:
            yield layout.data_key(system_id, seq, file.name), file.bytes
        if pending.manifest.kind != "void":  # one may stand for what had arrived before
            yield layout.manifest_key(system_id, seq), len(pending.data)


def _held(bucket: Bucket, system_id: str, first_seq: int) -> dict[str, int]:
    prefix = layout.snapshots_prefix(system_id)
    start = f"{prefix}{first_seq:0{layout.SEQ_DIGITS}d}/"
    pages = bucket.list(prefix, start_after=start)
    return {item.key: item.bytes for page in pages for item in page.objects}


def _size(bucket: Bucket, key: str, retry: Retry) -> int | None:
    try:
        return retry(lambda: bucket.head(key)).bytes
    except ObjectNotFound:
        return None
