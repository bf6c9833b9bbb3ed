"""This machine's clock beside others'."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import datetime, timedelta

from recall_wire.buckets.base import Bucket
from recall_wire.doctor.finding import Finding, ok, warning
from recall_wire.errors import RecallError
from recall_wire.sizes import age_text

OFF_MAX = timedelta(minutes=5)


def against_bucket(bucket: Bucket, key: str, now: Callable[[], datetime]) -> Iterator[Finding]:
    """By the time the endpoint gives to an object that is written now, and removed again."""
    try:
        bucket.put(key, b"recalld doctor\n")
        theirs = bucket.head(key).modified_at
    except RecallError:
        return  # the probe has said what is wrong
    yield compared("bucket", theirs, now())
    with suppress(RecallError):
        bucket.delete(key)


def compared(whose: str, theirs: datetime, ours: datetime) -> Finding:
    off = ours - theirs
    if abs(off) <= OFF_MAX:
        return ok("clock", f"agrees with the {whose}'s")
    side = "ahead of" if off > timedelta(0) else "behind"
    return warning(
        "clock",
        f"this machine's clock is {age_text(abs(off))} {side} the {whose}'s; S3 refuses what is "
        "off by more than 15 minutes",
        "set the clock, best with NTP (timedatectl set-ntp true)",
    )
