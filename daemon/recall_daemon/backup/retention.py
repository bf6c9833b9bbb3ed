"""Which backups stay: the newest of each of the last days and weeks that have one."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from datetime import datetime

from recall_daemon.backup.manifest import time_of


def kept(backup_ids: Sequence[str], *, daily: int, weekly: int) -> set[str]:
    """The whole backups that stay: of each of the last `daily` days (UTC) and of each of the last
    `weekly` ISO weeks that have a backup the newest one; and the newest of all, whatever is asked.
    """
    newest_first = sorted(backup_ids, reverse=True)
    days = _newest_of_each(newest_first, lambda at: at.date(), daily)
    weeks = _newest_of_each(newest_first, lambda at: at.isocalendar()[:2], weekly)
    return {*newest_first[:1], *days, *weeks}


def _newest_of_each(
    newest_first: Sequence[str], period: Callable[[datetime], Hashable], count: int
) -> list[str]:
    newest: dict[Hashable, str] = {}
    for backup_id in newest_first:
        newest.setdefault(period(time_of(backup_id)), backup_id)
    return list(newest.values())[:count]
