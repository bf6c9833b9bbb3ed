"""When rows that are gone from a source may be deleted in the hub."""

from __future__ import annotations

from datetime import datetime

from recall_uploader.diff import Scan
from recall_uploader.errors import DeletesUnconfirmed

GONE_MAX_FRACTION = 0.20
_HINT = "run it again with --confirm-deletes if that is meant"


def check_deletes(scan: Scan, *, known_rows: int, newest_sent: datetime | None) -> None:
    """Raises `DeletesUnconfirmed` where the deletes look like an accident.

    A source that was emptied, replaced by an older backup or swapped for another file must not
    delete what the hub holds.
    """
    if not scan.gone:
        return
    if scan.gone > known_rows * GONE_MAX_FRACTION:
        raise DeletesUnconfirmed(
            f"{scan.gone} of {known_rows} memories sent before are gone from the source", hint=_HINT
        )
    if newest_sent and (scan.newest_time is None or scan.newest_time < newest_sent):
        raise DeletesUnconfirmed(
            f"the source is older than the one sent before (its newest memory is of "
            f"{scan.newest_time:%Y-%m-%d %H:%M}, then it was {newest_sent:%Y-%m-%d %H:%M})"
            if scan.newest_time
            else "the source has no times any more",
            hint=_HINT,
        )
