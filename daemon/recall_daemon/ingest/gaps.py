"""Numbers missing below a later snapshot: asked for by GET, with backoff, then given up."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from recall_daemon.ingest.poll import Found
from recall_daemon.store.ledger import Gap

ASKED_AT_ONCE = 20
BACKOFF_MAX = timedelta(hours=1)


@dataclass
class GapAsker:
    """Decides which missing numbers to ask for now. Kept in memory: a restart asks once more."""

    first_delay: timedelta
    give_up_after: timedelta
    _next: dict[tuple[str, int], tuple[datetime, timedelta]] = field(default_factory=dict)

    def due(self, gaps: Iterable[Gap], now: datetime) -> list[Found]:
        """The numbers to ask for: the lowest of each gap whose turn has come."""
        found: list[Found] = []
        asked: dict[tuple[str, int], tuple[datetime, timedelta]] = {}
        for gap in gaps:
            if now - gap.noticed_at > self.give_up_after:
                continue
            key = (gap.system_id, gap.first)
            when, delay = self._next.get(key, (now, self.first_delay))
            if when <= now:
                last = min(gap.last, gap.first + ASKED_AT_ONCE - 1)
                found += [Found(gap.system_id, seq, None) for seq in range(gap.first, last + 1)]
                when, delay = now + delay, min(delay * 2, BACKOFF_MAX)
            asked[key] = (when, delay)
        self._next = asked
        return found
