"""One file into the bucket: a single PUT, or a streamed multipart upload that can be resumed."""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Callable, Mapping
from datetime import datetime
from functools import partial
from pathlib import Path

from recall_wire.buckets.base import PART_BYTES, Bucket, Part, PendingUpload
from recall_wire.buckets.part_sender import (
    TRIES,
    Check,
    Cut,
    PartSender,
    Progress,
    Sleep,
    Transfer,
)
from recall_wire.errors import (
    BucketRefused,
    BucketUnreachable,
    ObjectNotFound,
    RecallError,
    TransientError,
)

STARTS = 3


def upload_file(
    bucket: Bucket,
    key: str,
    path: Path,
    *,
    sha256: str,
    bytes_: int,
    part_bytes: int = PART_BYTES,
    parts_in_flight: int = 4,
    progress: Progress | None = None,
    sleep: Sleep = time.sleep,
    check: Check = lambda: None,
    tries: int = TRIES,
) -> str:
    """Put the file at `path` into the bucket and return the object's ETag. Idempotent.

    `key` must name its content (it carries the sha256), so that whatever parts or object lie there
    already are this file's. Up to `part_bytes`: one PUT. Above: equal parts. Each call is tried
    `tries` times, with backoff and full jitter. In memory at any time:
    `parts_in_flight * part_bytes`, the part being read included.

    `progress` is called, on the caller's thread, with the number of bytes that have newly reached
    the bucket; a negative one where they are lost again, because the upload is no longer known
    there and is begun anew. Every wait goes through `sleep`; `check` is called before each part and
    each try, on any thread. What one of them raises ends the upload.

    The bytes are hashed as they are read and compared before the object appears. Raises
    `SnapshotInvalid` where they are not what `sha256` and `bytes_` say. After a `TransientError`,
    or a killed process, the parts stay and the next call goes on from them; after anything else,
    Ctrl-C included, the upload is aborted.
    """
    told = progress or (lambda sent_bytes: None)
    transfer = Transfer(bucket, key, path, sha256, bytes_, told, sleep, check, tries)
    if path.stat().st_size != bytes_:
        raise transfer.damaged()
    if bytes_ <= part_bytes:
        return _put_whole(transfer)
    return _upload_parts(transfer, Cut.of(bytes_, part_bytes), parts_in_flight)


def abort_stale(bucket: Bucket, prefix: str, older_than: datetime) -> int:
    """Abort the uploads under `prefix` that began before an aware time, by the endpoint's clock.

    Returns how many. Idempotent.
    """
    stale = [up for up in bucket.list_multipart(prefix) if up.started_at < older_than]
    for upload in stale:
        bucket.abort_multipart(upload.key, upload.upload_id)
    return len(stale)


def _put_whole(transfer: Transfer) -> str:
    data = transfer.path.read_bytes()
    if hashlib.sha256(data).hexdigest() != transfer.sha256:
        raise transfer.damaged()
    put = partial(transfer.bucket.put, transfer.key, data)
    etag = transfer.patiently(put, threading.Event())
    transfer.progress(len(data))
    return etag


def _upload_parts(transfer: Transfer, cut: Cut, parts_in_flight: int) -> str:
    bucket, key = transfer.bucket, transfer.key
    calm = threading.Event()
    pending = transfer.patiently(partial(_pending, bucket, key), calm)
    etag = transfer.patiently(partial(_stored, transfer), calm)
    if etag is not None:  # completed before; its answer was lost
        transfer.patiently(partial(_abort_all, bucket, pending), calm)
        transfer.progress(transfer.bytes)
        return etag
    for _ in range(STARTS):
        upload_id, have = transfer.patiently(_beginning(transfer, cut, pending), calm)
        etag = _send(transfer, PartSender(transfer, cut, upload_id, parts_in_flight), have)
        if etag is not None:
            return etag
        pending = []
    raise BucketUnreachable(
        f"{bucket.url} lost the upload of {key} {STARTS} times while it was under way",
        hint="see whether something aborts uploads there: a lifecycle rule, or another program",
    )


def _beginning(
    transfer: Transfer, cut: Cut, pending: list[PendingUpload]
) -> Callable[[], tuple[str, Mapping[int, Part]]]:
    """An upload to go on with, or a new one. Tried again it looks for uploads anew: the answer to
    a creation that worked may be what was lost."""
    known = [pending]

    def begin() -> tuple[str, Mapping[int, Part]]:
        bucket, key = transfer.bucket, transfer.key
        found = _resume(bucket, known.pop() if known else _pending(bucket, key), cut)
        return found or (bucket.create_multipart(key), {})

    return begin


def _send(transfer: Transfer, sender: PartSender, have: Mapping[int, Part]) -> str | None:
    """None where the upload is no longer known: expired, or aborted by somebody else."""
    try:
        return _complete(transfer, sender.upload_id, sender.send(have))
    except TransientError:
        raise  # the parts wait for the next attempt
    except ObjectNotFound as error:
        _abort(transfer, sender.upload_id, error)
        transfer.progress(-sender.sent_bytes)
        return None
    except BaseException as error:
        _abort(transfer, sender.upload_id, error)
        raise


def _pending(bucket: Bucket, key: str) -> list[PendingUpload]:
    try:
        return [upload for upload in bucket.list_multipart(key) if upload.key == key]
    except BucketRefused:
        return []  # credentials may upload and yet not list uploads: then nothing is resumed


def _stored(transfer: Transfer) -> str | None:
    try:
        info = transfer.bucket.head(transfer.key)
    except (ObjectNotFound, BucketRefused):  # S3 says 403 for an absent key to who may not list
        return None
    return info.etag if info.bytes == transfer.bytes else None


def _resume(
    bucket: Bucket, pending: list[PendingUpload], cut: Cut
) -> tuple[str, Mapping[int, Part]] | None:
    """The upload that has most, where all its parts fit; the others are aborted."""
    fitting: list[tuple[PendingUpload, Mapping[int, Part]]] = []
    for upload in pending:
        try:
            parts = bucket.list_parts(upload.key, upload.upload_id)
        except (ObjectNotFound, BucketRefused):  # or credentials may not list parts
            continue
        if all(cut.fits(part) for part in parts):
            fitting.append((upload, {part.number: part for part in parts}))
    best = max(fitting, key=lambda candidate: len(candidate[1]), default=None)
    _abort_all(bucket, [up for up in pending if best is None or up is not best[0]])
    return None if best is None else (best[0].upload_id, best[1])


def _complete(transfer: Transfer, upload_id: str, parts: tuple[Part, ...]) -> str:
    if transfer.tries > 1:
        try:
            return _complete_once(transfer, upload_id, parts)
        except TransientError:
            transfer.check()
    return _complete_once(transfer, upload_id, parts)


def _complete_once(transfer: Transfer, upload_id: str, parts: tuple[Part, ...]) -> str:
    try:
        return transfer.bucket.complete_multipart(transfer.key, upload_id, parts)
    except ObjectNotFound:
        # The client library asks again by itself when an answer is lost: the first had worked.
        etag = _stored(transfer)
        if etag is None:
            raise
        return etag
    except TransientError as error:
        etag = _stored_meanwhile(transfer, error)
        if etag is None:
            raise
        return etag


def _stored_meanwhile(transfer: Transfer, error: TransientError) -> str | None:
    """Whether the object appears after all: joining large ones can take longer than an answer is
    waited for, and asking for it a second time meanwhile confuses some endpoints.
    """
    for attempt in range(1, transfer.tries):
        transfer.wait(attempt, error)
        transfer.check()
        etag = _stored(transfer)
        if etag is not None:
            return etag
    return None


def _abort_all(bucket: Bucket, uploads: list[PendingUpload]) -> None:
    for upload in uploads:
        bucket.abort_multipart(upload.key, upload.upload_id)


def _abort(transfer: Transfer, upload_id: str, cause: BaseException) -> None:
    """Never hides the cause. What stays behind here, `abort_stale` removes."""
    try:
        transfer.bucket.abort_multipart(transfer.key, upload_id)
    except RecallError as error:
        cause.add_note(f"the upload could not be aborted either: {error}")
