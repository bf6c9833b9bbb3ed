"""The bucket: what it allows, whether it keeps what it takes, and what it tells of this system."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing, suppress
from dataclasses import replace

from recall_uploader.doctor import reach
from recall_uploader.doctor.look import Look
from recall_uploader.doctor.machine import is_locked
from recall_uploader.identity import check_unclaimed, newest_in_bucket, newest_told
from recall_uploader.outbox import Outbox, Pending
from recall_wire import layout
from recall_wire.buckets import create_folder
from recall_wire.buckets.base import Bucket
from recall_wire.buckets.probe import Capabilities, probe
from recall_wire.doctor import clock
from recall_wire.doctor.finding import Finding, failed, note, ok, problem, warning
from recall_wire.errors import BucketRefused, ObjectNotFound, RecallError, TransientError
from recall_wire.manifest import MANIFEST_MAX_BYTES

_POLICY = "docs/uploader.md has the policy it needs"
_AWAY = (
    "see to the network, s3_endpoint_url and the proxy; meanwhile what is new goes to the hub, "
    "where hub_url is set, or waits on this machine"
)
_DATA = b"recalld doctor\n"


def bucket(look: Look) -> Iterator[Finding]:
    instance = look.instance
    if instance.connect is None or instance.settings.force_method == "http":
        yield from _unused(look)
        return
    try:
        _make_first_folder(look)
        with closing(instance.connect()) as opened, look.state() as state:
            yield from _try(look, opened, look.system_id(state))
    except RecallError as error:
        yield failed("bucket", error)


def identity(look: Look) -> Iterator[Finding]:
    """Do this machine, its state folder and the bucket tell one story?"""
    instance = look.instance
    if instance.connect is None or instance.settings.force_method == "http":
        return
    if is_locked(instance.folder):
        yield note("identity", "not compared with the bucket: another run is at work right now")
        return
    try:
        _make_first_folder(look)
        with closing(instance.connect()) as opened, look.state() as state:
            if state is None:
                system_id = look.system_id(None)
                newest = newest_in_bucket(opened, system_id, look.retry)
                check_unclaimed(newest, instance.machine, system_id)
            else:
                newest = newest_told(opened, state, _pending(look), look.retry)
    except BucketRefused as error:
        # Said in full where the bucket is tried; here only what follows from it.
        yield warning(
            "identity", "not compared with the bucket, which refuses", error.hint or _POLICY
        )
    except RecallError as error:
        yield _untold(error)
    else:
        ends = f"the bucket ends at snapshot {newest.seq}" if newest.seq else "the bucket has none"
        yield ok("identity", f"{ends} of this system, as this state folder says")


def _untold(error: RecallError) -> Finding:
    if isinstance(error, TransientError):
        return warning(
            "identity", "not compared with the bucket, which does not answer", "see to the bucket"
        )
    return failed("identity", error)


def _unused(look: Look) -> Iterator[Finding]:
    if look.instance.connect is not None:
        yield note("bucket", "force_method is http: the bucket is not used")
    elif look.instance.connect_hub is None:
        yield problem(
            "bucket", "no bucket is set", "`recall init` asks for it; or set RECALL_BUCKET_URL"
        )
    else:
        yield note("bucket", "no bucket is set: snapshots go to the hub, which is their only copy")


def _make_first_folder(look: Look) -> None:
    """As a first run does; a system that has delivered must not find an empty folder instead."""
    url = look.instance.settings.bucket_url
    with look.state() as state:
        if url is not None and state is None:
            create_folder(url)


def _try(look: Look, opened: Bucket, system_id: str) -> Iterator[Finding]:
    prefix = f"{layout.system_prefix(system_id)}doctor/"
    found = probe(opened, prefix)
    if not found.writes and not found.reads and not found.lists:
        said, _, remedy = (found.problems[0] if found.problems else "").partition("; ")
        yield problem("bucket", said or f"{opened.url} cannot be used", remedy or _AWAY)
        return
    judged = list(_judge(look, opened, prefix, found))
    yield from judged
    if not any(item.level == "problem" for item in judged):
        yield ok("bucket", f"{opened.url} takes, keeps and gives back what is put there")
    yield from _own_keys(look, opened, system_id)
    yield from clock.against_bucket(opened, f"{prefix}clock", look.instance.clock)
    yield from reach.reach(look, opened, system_id)


def _judge(look: Look, opened: Bucket, prefix: str, found: Capabilities) -> Iterator[Finding]:
    said = found.problems[0] if found.problems else ""
    if not found.writes:
        yield problem("write", said or "nothing can be written", _POLICY)
        return
    if not found.reads:
        yield problem(
            "read back",
            f"{opened.url} said that it stored an object and does not give it back"
            + (f" ({said})" if said else ""),
            "see to the bucket, its lifecycle rules, or the proxy before it; " + _POLICY,
        )
    if not found.lists:
        yield problem(
            "list", "its own keys cannot be listed" + (f": {said}" if said else ""), _POLICY
        )
    if not found.if_none_match:
        yield warning(
            "conditional write",
            "the endpoint overwrites in spite of If-None-Match: two writers of one system are "
            "only found out afterwards",
            "give every instance a system_id of its own, or use an endpoint that honours it",
        )
    if not found.multipart:
        yield _multipart(look, opened, f"{prefix}parts", said)
    if not found.deletes:
        yield note(
            "delete",
            f"what is tried out under {prefix} cannot be removed again",
            "uploads need no deletes; to keep the bucket tidy allow s3:DeleteObject there alone",
        )


def _multipart(look: Look, opened: Bucket, key: str, said: str) -> Finding:
    """Only listing uploads may be missing: then what was cut begins anew, and that is all."""
    retry = look.retry
    try:
        upload_id = retry(lambda: opened.create_multipart(key))
        part = retry(lambda: opened.upload_part(key, upload_id, 1, _DATA))
        retry(lambda: opened.complete_multipart(key, upload_id, (part,)))
    except RecallError as error:
        return problem(
            "multipart", f"files above 5 MiB cannot be sent: {error.message}", error.hint
        )
    with suppress(RecallError):  # the probe has said that nothing can be removed
        opened.delete(key)
    return warning(
        "multipart",
        f"uploads cannot be listed, so that one that was cut begins anew ({said})",
        "allow s3:ListBucketMultipartUploads and s3:ListMultipartUploadParts",
    )


def _own_keys(look: Look, opened: Bucket, system_id: str) -> Iterator[Finding]:
    """The keys outside the probe's prefix; nothing is written there."""
    head = layout.head_key(system_id)
    yield from _parts(look, opened, layout.snapshot_prefix(system_id, 1) + "probe")
    for key in (head, layout.snapshot_prefix(system_id, 1) + "probe"):
        if reach.may_write(look, opened, key) is False:
            yield problem("write", f"{key} may not be written", _POLICY)
    for key, why in (
        (head, "whose system this is cannot be checked"),
        (layout.ack_key(system_id), "what the hub could not take is never heard of"),
    ):
        try:
            opened.get(key, max_bytes=MANIFEST_MAX_BYTES)
        except ObjectNotFound:
            continue
        except BucketRefused as error:
            remedy = f"allow s3:GetObject on it, and s3:ListBucket with that prefix; {_POLICY}"
            finding = failed("read", error, "problem" if key == head else "warning")
            yield replace(finding, says=f"{key} cannot be read: {why}", remedy=remedy)


def _parts(look: Look, opened: Bucket, key: str) -> Iterator[Finding]:
    """Asked of an upload that does not exist: only a refusal tells anything."""
    try:
        look.retry(lambda: opened.list_parts(key, reach.NO_UPLOAD))
    except BucketRefused as error:
        says = f"an upload that was cut cannot go on: {error.message}"
        yield warning("multipart", says, f"allow s3:ListMultipartUploadParts; {_POLICY}")
    except (ObjectNotFound, TransientError):
        return


def _pending(look: Look) -> Sequence[Pending]:
    return Outbox(look.instance.folder / "outbox").pending()
