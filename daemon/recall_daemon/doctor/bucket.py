"""The bucket: reachable, what it honours, its clock, and the backups in it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from datetime import datetime, timedelta

from recall_daemon.doctor.look import Look
from recall_daemon.operations import Json
from recall_daemon.store import journal
from recall_wire import layout
from recall_wire.buckets import open_bucket
from recall_wire.buckets.base import Bucket
from recall_wire.buckets.probe import Capabilities, probe
from recall_wire.doctor import clock
from recall_wire.doctor.finding import Finding, failed, note, ok, problem, warning
from recall_wire.errors import RecallError
from recall_wire.sizes import age_text, bytes_text

PREFIX = f"{layout.HUB}doctor/"
_POLICY = "docs/uploader.md has the policy that the hub needs"
# A backup that is due takes its time.
_LATE = 2


def bucket(look: Look) -> Iterator[Finding]:
    url = look.settings.bucket_url
    if url is None:
        yield problem("bucket", "no bucket is named", "set bucket_url, or RECALLD_BUCKET_URL")
        return
    yield from _tried(look, "bucket", url)
    cold = look.settings.cold_bucket_url
    if cold is not None and cold != url:
        yield from _tried(look, "cold bucket", cold)


def _tried(look: Look, check: str, url: str) -> Iterator[Finding]:
    try:
        with closing(open_bucket(url, look.settings.s3_options())) as opened:
            found = probe(opened, PREFIX)
            yield from _judged(check, opened, found)
            if found.writes:
                yield from clock.against_bucket(opened, f"{PREFIX}clock", look.now)
            if found.lists and check == "bucket":
                yield from _heads(opened)
    except RecallError as error:
        yield failed(check, error)


def _judged(check: str, opened: Bucket, found: Capabilities) -> Iterator[Finding]:
    said, _, remedy = (found.problems[0] if found.problems else "").partition("; ")
    missing = [name for name in ("writes", "reads", "lists") if not getattr(found, name)]
    if missing:
        yield problem(
            check,
            said or f"{opened.url} does not do what the hub needs: {', '.join(missing)}",
            remedy or _POLICY,
        )
        return
    if not found.if_none_match:
        yield warning(
            check,
            "the endpoint overwrites in spite of If-None-Match: two hubs of one id, or two writers "
            "of one system, are only found out afterwards",
            "use an endpoint that honours it",
        )
    if not found.multipart:
        yield problem(check, said or "large backups cannot be put in parts", remedy or _POLICY)
    if not found.deletes:
        yield warning(
            check,
            f"nothing under {layout.HUB} can be deleted: old backups and cold files stay for ever",
            _POLICY,
        )
    without = [n for n in ("start_after", "delimiter") if not getattr(found, n)]
    ends = f", without {' and '.join(without)} in its lists" if without else ""
    yield ok(check, f"{opened.url} takes, keeps and gives back what is put there{ends}")


def _heads(opened: Bucket) -> Iterator[Finding]:
    """Only read: what an instance wrote is never touched."""
    page = next(iter(opened.list(layout.HEADS)), None)
    if page is None or not page.objects:
        yield note("heads", "no instance has put anything here yet", "see docs/uploader.md")
    else:
        yield ok("heads", f"{len(page.objects)} systems on the first page of heads/")


def backups(look: Look) -> Iterator[Finding]:
    """How old the newest is; of a hub that is not there nobody knows which are its own."""
    if look.settings.bucket_url is None or look.hub is None:
        return
    try:
        found = _backups(look)
    except RecallError as error:
        yield failed("backup", error, "warning")
        return
    interval = timedelta(seconds=look.settings.backup_interval_s)
    if not found:
        remedy = "`recalld backup` makes one now"
        level = warning if interval else note
        yield level("backup", "there is none in the bucket", remedy)
        return
    age = look.now() - datetime.fromisoformat(found[0]["created_at"])
    says = f"the newest of {len(found)} is {age_text(age)} old, {bytes_text(found[0]['bytes'])}"
    if interval and age > _LATE * interval:
        yield warning("backup", says, "`recalld jobs` says why; `recalld backup` makes one now")
    else:
        yield ok("backup", says)


def _backups(look: Look) -> list[Json]:
    if look.daemon is not None:
        return list(look.daemon.backups()["backups"])
    assert look.core is not None
    from recall_daemon.app import open_archive_bucket
    from recall_daemon.backup.archive import make_archive

    with closing(open_archive_bucket(look.settings)) as opened:
        archive = make_archive(look.settings, look.core.store, opened, now=look.now)
        return list(archive.backups.listed()["backups"])


def log(look: Look) -> Iterator[Finding]:
    """What waits to reach the bucket's log; a daemon ships it, or its job says why not."""
    if look.core is None:
        return
    with look.core.store.read() as connection:
        waiting = journal.last(connection) - journal.shipped(connection)
    if waiting:
        remedy = "`recalld jobs run log`, or a hub that runs, ships them"
        yield warning("log", f"{waiting} entries are not in the bucket's log yet", remedy)
    else:
        yield ok("log", "the bucket's log has everything")
