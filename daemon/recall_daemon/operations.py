"""What the hub can be asked and told, answered from a store that this process holds."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from copy import copy
from datetime import datetime
from typing import Any

from recall_daemon import model_change
from recall_daemon.access.asked import asked_from_json
from recall_daemon.access.caller import LOCAL, Caller
from recall_daemon.access.events import Wanted
from recall_daemon.access.tokens import Tokens, token_json
from recall_daemon.agents.upkeep import reconcile
from recall_daemon.backlog import BacklogSize
from recall_daemon.index.filters import Filters
from recall_daemon.ingest import ack, quarantine
from recall_daemon.jobs import run_json
from recall_daemon.memory.incoming import read_memory, target_system, without_system
from recall_daemon.memory.posts import Posts, stored_json
from recall_daemon.memory.read import Memories
from recall_daemon.memory.whose import as_spoken, whose
from recall_daemon.search.engine import Search
from recall_daemon.search.query import SearchRequest
from recall_daemon.store import audit_log, events, ledger, memories, pending, reconciling
from recall_daemon.store import jobs as job_table
from recall_daemon.store.arrivals import arrivals
from recall_daemon.store.audit_log import AuditEntry
from recall_daemon.store.ledger import Entry, Place, State
from recall_daemon.store.store import Connection, Store
from recall_daemon.tiers.tiers import Tiers
from recall_daemon.verify import Verification

Json = dict[str, Any]


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
        tokens: Tokens,
        memories: Memories,
        posts: Posts,
    ) -> None:
        self._memories = memories
        self._posts = posts
        self._tiers = tiers
        self._tokens = tokens
        self._store = store
        self._backlog_size = BacklogSize(store)
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
        """`{rows, backlog, degraded, systems}`, and `reconciliation` for who sees everything.

        Read-only.
        """
        systems = self.systems()["systems"]
        space_id = self._space_id()
        with self._store.read() as connection:
            backlog = self._backlog(connection, space_id or "")
            compared = reconcile.told(reconciling.standing(connection))
        return {
            "rows": sum(system["rows"] for system in systems),
            "backlog": backlog,
            "degraded": space_id is None,
            "systems": systems,
            **({"reconciliation": compared} if self._caller.reach.is_everything else {}),
        }

    def _backlog(self, connection: Connection, space_id: str) -> int:
        reach = self._caller.reach
        if reach.is_everything:
            return self._backlog_size.of(space_id)
        reach = reach.fixed()
        return pending.backlog_within(
            connection, space_id, reach.systems, reach.projects, reach.seen
        )

    def systems(self) -> Json:
        """Each system: complete to N, missing ranges, quarantined, rows, lag. Read-only."""
        reach = self._caller.reach.fixed()
        with self._store.read() as connection:
            known = ledger.systems(connection)
            rows = memories.counts(connection, reach.projects, reach.seen)
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
            "quarantined": [self._without_reason(one, "") for one in told["quarantined"]],
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

    def memory(self, system_id: str, memory_id: str) -> Json:
        """See `Memories.get`. Read-only."""
        return self._memories.get(system_id, memory_id, self._caller.reach)

    def recent(self, filters: Filters, limit: int, cursor: str | None = None) -> Json:
        """See `Memories.recent`. Read-only."""
        return self._memories.recent(filters, limit, cursor, self._caller.reach)

    def related(self, system_id: str, memory_id: str, filters: Filters, limit: int) -> Json:
        """See `Memories.related`. Read-only."""
        return self._memories.related(system_id, memory_id, limit, self._caller.reach, filters)

    def add(self, body: Json) -> Json:
        """`{status, system_id, memory_id, stored_at}`; `body` is a memory of `incoming` and the
        `system` it goes to. Raises `MemoryInvalid`, `Forbidden`."""
        record = as_spoken(self._caller, read_memory(without_system(body), now=self._now()))
        system_id = target_system(self._caller, body, {})
        stored = self._posts.store(
            system_id, [record], actor=self._caller.name, whose=whose(self._caller)
        )
        return stored_json(system_id, record, stored)

    def verify(self, sample: int = 0) -> Json:
        """`{ok, logical_hash, problems}`; see `Verification.run`. Read-only."""
        return self._verification.run(sample)

    def snapshots(
        self,
        system: str | None = None,
        state: State | None = None,
        limit: int = 100,
        offset: int = 0,
    ) -> Json:
        """`{snapshots: [{system_id, seq, state, rows, …}], next_offset}`, newest first: whatever
        brought memories, by whichever way. Read-only.

        To who sees a part of it alone rows and reasons are null: they are of all.
        """
        reach = self._caller.reach
        systems = reach.systems
        if system is not None:
            systems = frozenset({system} if reach.holds_system(system) else ())
        with self._store.read() as connection:
            found = arrivals(
                connection, systems=systems, state=state, limit=limit + 1, offset=offset
            )
        counted = reach.holds_whole_systems
        return {
            "snapshots": [
                self._without_reason(_arrival(entry, counted=counted)) for entry in found[:limit]
            ],
            "next_offset": offset + limit if len(found) > limit else None,
        }

    def quarantine_list(self) -> Json:
        with self._store.read() as connection:
            listed = quarantine.listed(connection)
        seen = [e for e in listed if self._caller.reach.holds_system(e.place.system_id)]
        return {"quarantined": [self._without_reason(_entry(entry)) for entry in seen]}

    def quarantine_show(self, place: Place) -> Json:
        with self._store.read() as connection:
            seen = self._caller.reach.holds_system(place.system_id)
            return self._without_reason(_entry(quarantine.find(connection, place, seen=seen)))

    def _without_reason(self, told: Json, nothing: str | None = None) -> Json:
        """A reason quotes the data of a whole system, and bytes count it: not for whoever is bound
        to projects, an agent or a user."""
        if self._caller.reach.holds_whole_systems:
            return told
        return {**told, "reason": nothing, **({"bytes": None} if "bytes" in told else {})}

    def quarantine_retry(self, place: Place) -> Json:
        """Raises `Forbidden`, `NotInQuarantine`."""
        self._caller.check_whole()
        self._caller.check_write(place.system_id)
        actor = self._caller.name
        return _entry(quarantine.retry(self._store, place, self._now(), actor=actor))

    def quarantine_drop(self, place: Place) -> Json:
        """Raises `Forbidden`, `NotInQuarantine`."""
        self._caller.check_whole()
        self._caller.check_write(place.system_id)
        actor = self._caller.name
        return _entry(quarantine.drop(self._store, place, self._now(), actor=actor))

    def model(self) -> Json:
        """`{serving, building, degraded}`: each space with how many texts it has. Read-only."""
        with self._store.read() as connection:
            return {**model_change.state(connection), "degraded": self._space_id() is None}

    def events(self, limit: int, kinds: Sequence[str] = (), systems: Sequence[str] = ()) -> Json:
        """`{events: [{event_id, happened_at, kind, system_id, body}]}`, newest first. Read-only."""
        wanted = Wanted(self._caller.reach, frozenset(kinds), frozenset(systems))
        with self._store.read() as connection:
            found = events.newest(connection, limit, wanted.holds)
        return {"events": [wanted.to_json(event) for event in found]}

    def jobs(self) -> Json:
        """`{jobs: [{kind, state, …}]}`: the newest run of each kind that ever ran. Read-only."""
        with self._store.read() as connection:
            runs = job_table.latest(connection)
        return {"jobs": [run_json(kind, None, run) for kind, run in runs.items()]}

    def me(self) -> Json:
        """`{name, role, system, systems, projects, agent, user}`: the caller; None for all.

        Read-only.
        """
        reach = self._caller.reach
        return {
            "name": self._caller.name,
            "role": self._caller.role,
            "system": self._caller.system_id,
            "systems": None if reach.systems is None else sorted(reach.systems),
            "projects": None if reach.projects is None else sorted(reach.projects),
            "agent": self._caller.agent_id,
            "user": self._caller.user_id,
        }

    def tokens(self) -> Json:
        """`{tokens: [{token_id, name, role, …, state}]}`, without a secret. Read-only."""
        return {"tokens": self._tokens.listed()}

    def token_create(self, body: Json) -> Json:
        """`{token, token_id, …}`: the token is shown this once. Raises `TokenInvalid`."""
        row, token = self._tokens.create(asked_from_json(body), actor=self._caller.name)
        return {"token": token, **token_json(row, self._now())}

    def token_revoke(self, token_id: str) -> Json:
        """The token's line. Idempotent. Raises `TokenUnknown`."""
        return self._tokens.revoke(token_id, actor=self._caller.name)

    def audit(self, limit: int = 100, before: int | None = None, action: str | None = None) -> Json:
        """`{entries, next_before}`, newest first; no `next_before` after the last. Read-only."""
        with self._store.read() as connection:
            found = audit_log.newest(connection, limit + 1, before=before, action=action)
        shown = found[:limit]
        return {
            "entries": [_audited(entry) for entry in shown],
            "next_before": shown[-1].entry_no if len(found) > limit else None,
        }

    def audit_verify(self) -> Json:
        """`{ok, problems}`: whether each entry of the audit log follows from the one before."""
        with self._store.read() as connection:
            problems = audit_log.problems(connection)
        return {"ok": not problems, "problems": problems}


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


def _arrival(entry: Entry, *, counted: bool) -> Json:
    return {
        **_entry(entry),
        "kind": entry.kind,
        "created_at": _iso(entry.created_at),
        "rows": entry.rows if counted else None,
        "deletes": entry.deletes if counted else None,
    }


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


def _audited(entry: AuditEntry) -> Json:
    return {
        "entry_no": entry.entry_no,
        "happened_at": _iso(entry.happened_at),
        "actor": entry.actor,
        "action": entry.action,
        "system_id": entry.system_id,
        "body": json.loads(entry.body),
        "hash": entry.hash,
    }


def _iso(when: datetime | None) -> str | None:
    return when.isoformat() if when else None
