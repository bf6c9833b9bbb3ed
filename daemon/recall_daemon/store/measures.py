"""How much there is, counted for those who watch the hub."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from recall_daemon.store import ledger
from recall_daemon.store.store import Connection


@dataclass(frozen=True)
class Fleet:
    """All systems together. `behind_since`: the oldest thing announced and not merged."""

    systems: int
    clashes: int
    quarantined: int
    missing: int
    behind_since: datetime | None


def fleet(connection: Connection) -> Fleet:
    """Reads the ledger, and no memory."""
    systems, clashes = connection.execute("SELECT count(*), count(clash) FROM systems").fetchall()[
        0
    ]
    quarantined, oldest = connection.execute(
        "SELECT count(*) FILTER (state IN ('quarantined', 'refused')), "
        "min(first_seen_at) FILTER (state IN ('waiting', 'merging')) FROM snapshots"
    ).fetchall()[0]
    gaps = ledger.gaps(connection)
    since = [gap.noticed_at for gap in gaps if gap.noticed_at is not None]
    return Fleet(
        systems=systems,
        clashes=clashes,
        quarantined=quarantined,
        missing=sum(gap.last - gap.first + 1 for gap in gaps),
        behind_since=min([*since, *([oldest] if oldest else [])], default=None),
    )


def rows_by_tier(connection: Connection) -> dict[str, int]:
    """Live rows. Reads one column of every row."""
    found = connection.execute(
        "SELECT tier, count(*) FROM memories WHERE state = 'live' GROUP BY tier"
    ).fetchall()
    return {tier: int(rows) for tier, rows in found}
