"""An agent's slice: its memories with what others are at with them; and its search beyond it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Final

from recall_daemon.agents.actor import Actor, holder_name
from recall_daemon.agents.config import TYPE_TAG
from recall_daemon.agents.memories import SharedMemories
from recall_daemon.agents.naming import Naming, identity
from recall_daemon.agents.sight import Grants
from recall_daemon.errors import AgentInvalid
from recall_daemon.index.filters import Filters
from recall_daemon.index.seen import RowIds
from recall_daemon.memory.cursor import cursor_of, mark_of
from recall_daemon.search.engine import Search
from recall_daemon.search.query import LIMIT_MAX, Mode, SearchRequest
from recall_daemon.store import locks, showing, slices
from recall_daemon.store.moment import one_moment
from recall_daemon.store.showing import Memory
from recall_daemon.store.store import Connection, Store

Json = dict[str, Any]
Identity = tuple[str, str]

LIMIT: Final = 50
HITS: Final = 10
# What a search of agents may be narrowed to, in the words of a search.
FILTERS: Final = (
    *("system", "project", "kind", "session", "tags", "agent", "user", "namespace"),
    *("since", "until"),
)
OWN: Final = "own"


@dataclass(frozen=True)
class SearchAsked:
    """`query` None: the newest. `include_shared` False: the agent's own alone. `filters`: see
    `FILTERS`. Of hits with a score below `min_score` none is shown."""

    query: str | None = None
    include_shared: bool = True
    search_type: Mode = "hybrid"
    memory_type: str | None = None
    parent_id: str | None = None
    filters: Mapping[str, Any] = field(default_factory=dict)
    limit: int = HITS
    min_score: float = 0.0


@dataclass(frozen=True)
class _Found:
    """Identities with their scores, best first."""

    scores: Mapping[Identity, float | None]
    degraded: bool


class Slices:
    """Blocking; safe from many threads. Read-only."""

    def __init__(
        self,
        store: Store,
        search: Search,
        naming: Naming,
        memories: SharedMemories,
        grants: Grants,
        *,
        now: Callable[[], datetime],
    ) -> None:
        self._store = store
        self._search = search
        self._naming = naming
        self._memories = memories
        self._grants = grants
        self._now = now

    def get_agent_memory_slice(
        self, actor: Actor, agent_id: str, *, limit: int = LIMIT, cursor: str | None = None
    ) -> Json:
        """`{agent_id, memory_slice: [{memory, sync_metadata}], statistics, next_cursor}`, newest
        first: what the agent wrote, as far as the actor sees it.

        sync_metadata: `{is_locked, lock_holder, has_conflicts, last_sync_check}`, all of one
        moment, which is `last_sync_check`. statistics: `{memories, hot, warm, cold, conflicts,
        locked, shared}` of the whole slice. Raises `AgentInvalid`, `QueryInvalid`.
        """
        _check_limit(limit)
        after = None if cursor is None else mark_of(cursor)
        now = self._now()
        filters = self._grants.reach(actor).fixed().narrowed(Filters(agents=(agent_id,)))
        if filters is None:
            return _nothing(agent_id)
        with one_moment(self._store) as connection:
            found = showing.newest(connection, filters, after, limit + 1)
            page = found[:limit]
            statistics = slices.totals(connection, filters, now)
            states = _states(connection, page, now)
            shown = self._memories.shown(actor, connection, page)
        told = zip(shown(), page, strict=True)
        return {
            "agent_id": agent_id,
            "memory_slice": [
                {"memory": one, "sync_metadata": states[identity(memory)]} for one, memory in told
            ],
            "statistics": statistics,
            "next_cursor": cursor_of(page[-1]) if len(found) > limit else None,
        }

    def search_agent_memories(self, actor: Actor, asked: SearchAsked) -> Json:
        """`{results: [{memory, score, is_shared, source_agent, seen_by}], count, degraded}`.

        Who may see what is decided before the best are taken. `seen_by` says why a hit may be seen:
        `own`, `shared by NAME`, `category NAME`, `rule N`, or `reach` for who speaks for no agent.
        Raises `AgentInvalid`, `QueryInvalid`, `MemoryNotFound` (the parent).
        """
        _check_limit(asked.limit)
        filters = self._filters(actor, asked)
        found = self._newest(actor, asked, filters)
        if asked.query is not None:
            found = self._by_query(actor, asked, filters)
        names = list(found.scores)
        with one_moment(self._store) as connection:
            here = {identity(one): one for one in showing.by_names(connection, names)}
            # What changed since the search may be out of sight by now.
            why = self._grants.why(connection, actor, list(here.values()))
            rows = [here[name] for name in names if name in why]
            shown = self._memories.shown(actor, connection, rows)
        results = [
            _hit(actor, one, memory, found.scores[identity(memory)], why[identity(memory)])
            for one, memory in zip(shown(), rows, strict=True)
        ]
        return {"results": results, "count": len(results), "degraded": found.degraded}

    def _by_query(self, actor: Actor, asked: SearchAsked, filters: Filters) -> _Found:
        request = SearchRequest(
            asked.query or "",
            limit=asked.limit,
            mode=asked.search_type,
            min_score=asked.min_score,
            fold=False,
        )
        # Without the sight: what is shown is noted once, where it is shown.
        reach = replace(self._grants.reach(actor).fixed(), sight=None)
        answer = self._search.search(request, reach, filters)
        scores = {(hit.system_id, hit.memory_id): round(hit.score, 6) for hit in answer.hits}
        return _Found(scores, answer.degraded)

    def _newest(self, actor: Actor, asked: SearchAsked, filters: Filters) -> _Found:
        narrowed = self._grants.reach(actor).fixed().narrowed(filters)
        if narrowed is None or asked.query is not None:
            return _Found({}, False)
        with self._store.look_up() as connection:
            found = showing.newest(connection, narrowed, None, asked.limit, text_chars=0)
        return _Found({identity(memory): None for memory in found}, False)

    def _filters(self, actor: Actor, asked: SearchAsked) -> Filters:
        unknown = next((name for name in asked.filters if name not in FILTERS), None)
        if unknown is not None:
            raise AgentInvalid(
                f"the filter {str(unknown)[:40]!r} is not known",
                hint=f"known: {', '.join(FILTERS)}",
            )
        given = {name: value for name, value in asked.filters.items() if value is not None}
        filters = SearchRequest("*", **given).filters
        if asked.memory_type is not None:
            filters = replace(filters, every_tag=(TYPE_TAG + asked.memory_type,))
        if asked.parent_id is not None:
            filters = replace(filters, rows=self._children(actor, asked.parent_id))
        if not asked.include_shared and actor.agent_id is not None:
            filters = replace(filters, agents=_own(actor.agent_id, filters.agents))
        return filters

    def _children(self, actor: Actor, name: str) -> RowIds:
        with one_moment(self._store) as connection:
            parent = self._naming.find(connection, actor, name)
            return RowIds(slices.children(connection, *identity(parent)))


def _own(agent_id: str, asked: tuple[str, ...]) -> tuple[str, ...]:
    """NUL: no agent has that name."""
    return (agent_id,) if not asked or agent_id in asked else ("\0",)


def _hit(actor: Actor, shown: Json, memory: Memory, score: float | None, why: str) -> Json:
    return {
        "memory": shown,
        "score": score,
        "is_shared": actor.agent_id is not None and why != OWN,
        "source_agent": memory.agent_id,
        "seen_by": why,
    }


def _states(connection: Connection, page: Sequence[Memory], now: datetime) -> dict[Identity, Json]:
    names = [identity(memory) for memory in page]
    held, open_ones = locks.find_all(connection, names), slices.in_conflict(connection, names)
    states = {}
    for name in names:
        lock = held.get(name)
        holder = lock.holder if lock is not None and lock.lives(now) else None
        states[name] = {
            "is_locked": holder is not None,
            "lock_holder": None if holder is None else holder_name(holder),
            "has_conflicts": name in open_ones,
            "last_sync_check": now.isoformat(),
        }
    return states


def _nothing(agent_id: str) -> Json:
    names = ("memories", "hot", "warm", "cold", "conflicts", "locked", "shared")
    nothing = dict.fromkeys(names, 0)
    return {
        "agent_id": agent_id,
        "memory_slice": [],
        "statistics": nothing,
        "next_cursor": None,
    }


def _check_limit(limit: int) -> None:
    if not 1 <= limit <= LIMIT_MAX:
        raise AgentInvalid(f"limit is {limit}; 1 to {LIMIT_MAX} are allowed")
