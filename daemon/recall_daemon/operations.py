"""What the hub can be asked and told, as plain JSON shapes: one set for its port and its commands.

`Operations` answers from a store this process holds; `RemoteHub` (in `remote`) asks the daemon that
runs. The command line does not care which one it talks to.
"""

from __future__ import annotations

from collections.abc import Callable
from copy import copy
from datetime import datetime
from typing import Any, Protocol

from recall_daemon import model_change
from recall_daemon.access.caller import LOCAL, Caller
from recall_daemon.ingest import ack, quarantine
from recall_daemon.jobs import run_json
from recall_daemon.search.engine import Search
from recall_daemon.search.query import SearchRequest
from recall_daemon.store import jobs as job_table
from recall_daemon.store import ledger, memories, vectors
from recall_daemon.store.ledger import Entry, Place
from recall_daemon.store.store import Connection, Store
from recall_daemon.tiers.tiers import Tiers
from recall_daemon.verify import Verification

Json = dict[str, Any]


class HubApi(Protocol):
    """What every way of reaching a hub offers."""

    def search(self, request: SearchRequest) -> Json: ...

    def status(self) -> Json: ...

    def systems(self) -> Json: ...

    def verify(self, sample: int = 0) -> Json: ...

    def tiers(self) -> Json: ...

    def tiers_due(self) -> Json: ...

    def quarantine_list(self) -> Json: ...

    def quarantine_show(self, place: Place) -> Json: ...

    def quarantine_retry(self, place: Place) -> Json: ...

    def quarantine_drop(self, place: Place) -> Json: ...

    def jobs(self) -> Json: ...

    def model(self) -> Json: ...


class Operations:
    """A `HubApi` on an open store.

    `space_id` is the hub's embedding space, None while there is no model (then `degraded`);
    `verification` proves the index against the store.
    """

    def __init__(
        self,
        store: Store,
        search: Search,
        *,
        space_id: Callable[[], str | None],
        now: Callable[[], datetime],
        verification: Verification,
        tiers: Tiers,
    ) -> None:
        self._tiers = tiers
        self._store = store
        self._search = search
        self._space_id = space_id
        self._now = now
        self._verification = verification
        self._caller = LOCAL

    def seen_by(self, caller: Caller) -> Operations:
        """The same hub as far as the caller may see it: nothing else is counted, either."""
        seen = copy(self)
        seen._caller = caller
        return seen

    def search(self, request: SearchRequest) -> Json:
        """`{query, degraded, incomplete, hits, …}`; see `SearchAnswer`. Read-only."""
        return self._search.search(request, self._caller.reach).to_json()

    def status(self) -> Json:
        """`{rows, backlog, degraded, systems}`. Read-only."""
        systems = self.systems()["systems"]
        space_id = self._space_id()
        with self._store.read() as connection:
            backlog = self._backlog(connection, space_id or "")
        return {
            "rows": sum(system["rows"] for system in systems),
            "backlog": backlog,
            "degraded": space_id is None,
            "systems": systems,
        }

    def _backlog(self, connection: Connection, space_id: str) -> int:
        reach = self._caller.reach
        if reach.is_everything:
            return vectors.backlog_size(connection, space_id)
        return vectors.backlog_within(connection, space_id, reach.systems, reach.projects)

    def systems(self) -> Json:
        """Each system: complete to N, missing ranges, quarantined, rows, lag. Read-only."""
        with self._store.read() as connection:
            known = ledger.systems(connection)
            rows = memories.counts(connection, self._caller.reach.projects)
            acks = ack.acks(connection)
            pending = _pending_since(connection)
        return {
            "systems": [
                self._system(
                    system, rows.get(name, 0), acks[name].model_dump(mode="json"), pending.get(name)
                )
                for name, system in known.items()
                if self._caller.reach.holds_system(name)
            ]
        }

    def _system(
        self, system: ledger.System, rows: int, told: Json, pending: datetime | None
    ) -> Json:
        lag_s = (self._now() - pending).total_seconds() if pending else 0.0
        return {
            "system_id": system.system_id,
            "rows": rows,
            "complete_to": told["complete_to"],
            "missing": told["missing"],
            "quarantined": told["quarantined"],
            "lag_s": round(max(lag_s, 0.0), 3),
            "last_merged_at": _iso(system.last_merged_at),
            "warning": system.clash,
        }

    def tiers(self) -> Json:
        """`{tiers, cold, future_rows, last_run}`; see `Tiers.report`. Read-only."""
        return self._tiers.report()

    def tiers_due(self) -> Json:
        """`{to_warm, to_cold}`: how many rows ageing would move now. Read-only."""
        return self._tiers.due()

    def verify(self, sample: int = 0) -> Json:
        """`{ok, logical_hash, problems}`; see `Verification.run`. Read-only."""
        return self._verification.run(sample)

    def quarantine_list(self) -> Json:
        with self._store.read() as connection:
            listed = quarantine.listed(connection)
        seen = [e for e in listed if self._caller.reach.holds_system(e.place.system_id)]
        return {"quarantined": [_entry(entry) for entry in seen]}

    def quarantine_show(self, place: Place) -> Json:
        with self._store.read() as connection:
            seen = self._caller.reach.holds_system(place.system_id)
            return _entry(quarantine.find(connection, place, seen=seen))

    def quarantine_retry(self, place: Place) -> Json:
        return _entry(quarantine.retry(self._store, place, self._now()))

    def quarantine_drop(self, place: Place) -> Json:
        return _entry(quarantine.drop(self._store, place, self._now()))

    def model(self) -> Json:
        """`{serving, building, degraded}`: each space with how many texts it has. Read-only."""
        with self._store.read() as connection:
            return {**model_change.state(connection), "degraded": self._space_id() is None}

    def jobs(self) -> Json:
        """`{jobs: [{kind, state, …}]}`: the newest run of each kind that ever ran. Read-only."""
        with self._store.read() as connection:
            runs = job_table.latest(connection)
        return {"jobs": [run_json(kind, None, run) for kind, run in runs.items()]}


def _pending_since(connection: Connection) -> dict[str, datetime]:
    """Since when each system has something that is announced and not merged."""
    since: dict[str, datetime] = {}
    for state in ("waiting", "merging"):
        for entry in ledger.entries(connection, state):
            name = entry.place.system_id
            since[name] = min(entry.first_seen_at, since.get(name, entry.first_seen_at))
    for gap in ledger.gaps(connection):
        name = gap.system_id
        since[name] = min(gap.noticed_at, since.get(name, gap.noticed_at))
    return since


def _entry(entry: Entry) -> Json:
    return {
        "system_id": entry.place.system_id,
        "seq": entry.place.seq,
        "sub": entry.place.sub,
        "state": entry.state,
        "reason": entry.reason,
        "origin": entry.origin,
        "locator": entry.locator,
        "etag": entry.etag,
        "bytes": entry.bytes,
        "first_seen_at": _iso(entry.first_seen_at),
        "settled_at": _iso(entry.settled_at),
    }


def _iso(when: datetime | None) -> str | None:
    return when.isoformat() if when else None
