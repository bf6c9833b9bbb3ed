"""The outbox's bound in age."""

from __future__ import annotations

from datetime import timedelta

from recall_uploader.recover import discard
from recall_uploader.run import Run


def age_out(run: Run) -> list[str]:
    """Take out what has waited too long; returns what a person should know.

    Too long is `outbox_max_age_days` before the newest that waits: so the newest never goes, and
    a wrong clock takes nothing out until something is spooled under it. The files lie in `failed/`
    then, and what the source still holds is sent again under a later number. What the hub has
    already stays.
    """
    waiting = [item for item in run.outbox.pending() if item.manifest.kind != "void"]
    if not waiting:
        return []
    days = run.instance.settings.outbox_max_age_days
    newest = max(item.manifest.created_at for item in waiting)
    limit = newest - timedelta(days=days)
    old = [item for item in waiting if item.manifest.created_at < limit and not item.pushed]
    for item in old:
        discard(run.spool, item)
    return [
        f"snapshot {item.seq} waited more than {days:g} days and lies in failed/ now; what its "
        "source still holds is sent again"
        for item in old
    ]
