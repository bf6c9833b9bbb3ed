"""How far the bucket's credentials go: an instance needs its own prefix, and no other.

Nothing is written outside it: a part for an upload that does not exist is answered 404 where
parts may be written, and 403 where not.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator

from recall_uploader.doctor.look import Look
from recall_wire import layout
from recall_wire.buckets.base import Bucket
from recall_wire.buckets.location import S3Location, parse_url
from recall_wire.doctor.finding import Finding, note, ok, warning
from recall_wire.errors import BucketRefused, ObjectNotFound, TransientError
from recall_wire.manifest import HEAD_MAX_BYTES

_R2 = ".r2.cloudflarestorage.com"
NO_UPLOAD = "recall-doctor-no-such-upload"


def reach(look: Look, bucket: Bucket, system_id: str) -> Iterator[Finding]:
    settings = look.instance.settings
    if settings.bucket_url and not isinstance(parse_url(settings.bucket_url), S3Location):
        yield note(
            "reach",
            "a folder: who may read and write in it is for the file system to say",
            "where machines of different people share it, give each system's folder its owner",
        )
        return
    try:
        beyond = list(_beyond(look, bucket, system_id))
    except TransientError as error:
        yield note("reach", f"it was not found out how far its credentials go: {error.message}")
        return
    if not beyond:
        yield ok("reach", "its credentials go no further than this system's own keys")
        return
    yield warning("reach", f"its credentials also {_joined(beyond)}", _remedy(look))


def may_write(look: Look, bucket: Bucket, key: str) -> bool | None:
    """Whether the credentials could write `key`; None where the endpoint's answer tells nothing.
    Writes nothing."""
    try:
        look.retry(lambda: bucket.upload_part(key, NO_UPLOAD, 1, b"recalld doctor\n"))
    except ObjectNotFound:
        return True
    except BucketRefused:
        return False
    except TransientError:
        return None  # some servers fail over an upload they do not know
    return None


def _beyond(look: Look, bucket: Bucket, system_id: str) -> Iterator[str]:
    # Begins like this system's own name: a policy that forgot the slash lets it pass.
    other = f"{system_id[:80]}-{secrets.token_hex(4)}"
    if _allowed(look, lambda: next(iter(bucket.list(layout.SYSTEMS)))):
        yield "list every system's keys"
    if _allowed(look, lambda: next(iter(bucket.list("")))):
        yield "list the whole bucket"
    if _reads_others(look, bucket, system_id, other):
        yield "read other systems' heads"
    if may_write(look, bucket, layout.snapshot_prefix(other, 1) + "probe"):
        yield "write under other systems' prefixes"
    if may_write(look, bucket, layout.head_key(other)):
        yield "write other systems' heads"
    if may_write(look, bucket, f"{layout.HUB}{other}/probe"):
        yield "write the hub's own objects"


def _reads_others(look: Look, bucket: Bucket, system_id: str, other: str) -> bool:
    """One that is there, where they can be listed: S3 says 403 for an absent key to whoever may
    read it and not list it."""
    key = layout.head_key(other)
    try:
        page = next(iter(bucket.list(layout.HEADS)))
        own = layout.head_key(system_id)
        key = next((item.key for item in page.objects if item.key != own), key)
    except BucketRefused:
        pass
    return _allowed(look, lambda: bucket.get(key, max_bytes=HEAD_MAX_BYTES))


def _allowed(look: Look, call: Callable[[], object]) -> bool:
    try:
        look.retry(call)
    except BucketRefused:
        return False
    except ObjectNotFound:
        return True
    return True


def _remedy(look: Look) -> str:
    if _R2 in (look.instance.settings.s3_endpoint_url or ""):
        return (
            "R2's tokens are scoped to buckets, so this is expected: give each circle of trust a "
            "bucket of its own, or use temporary credentials scoped to a prefix (docs/uploader.md)"
        )
    return "docs/uploader.md has a policy that is limited to this system"


def _joined(parts: list[str]) -> str:
    return " and ".join([", ".join(parts[:-1]), parts[-1]]) if len(parts) > 1 else parts[0]
