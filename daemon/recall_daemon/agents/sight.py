"""Who may see which memory: the rules, and what an agent may see at a moment.

Deny comes first: a memory of a category that is restricted for the agent is not there for it, be it
its own. Then the user's: of another user nothing is seen. Then what lets it be seen: it is the
agent's own, shared with it, of a global category, or a rule says so. The caller's reach bounds all
of it. A search gets the rules as a clause of its filters, so that they apply before top-k.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from recall_daemon.agents.actor import Actor
from recall_daemon.agents.config import CATEGORY_TAG, Agents, categories_of
from recall_daemon.index.seen import NO_ROWS, Mark, RowIds, Seen
from recall_daemon.search.reach import Reach, Told
from recall_daemon.store import shares
from recall_daemon.store.shares import Identity, Share, ShareRule
from recall_daemon.store.showing import Memory
from recall_daemon.store.store import Connection, Store

# Agents whose grants are remembered.
KEPT = 256

Note = Callable[[str, str, str | None, Sequence[Told]], None]


def _nobody(actor: str, agent_id: str, user_id: str | None, told: Sequence[Told]) -> None:
    """Nobody wants to know what was read."""


@dataclass(frozen=True, slots=True)
class _Granted:
    """What one agent may see beside its own, as of one number of the grants."""

    version: int
    shared: RowIds
    marks: tuple[Mark, ...]
    until: datetime | None
    is_whole: bool

    def is_of(self, version: int, now: datetime) -> bool:
        is_over = self.until is not None and now >= self.until
        return self.version == version and self.is_whole and not is_over


class Grants:
    """What each agent may see and change. Safe from many threads.

    Each read asks the store for the number of the last change of the grants, and what is remembered
    counts for that number alone: a share or a rule takes effect, and goes, at the next read.
    """

    def __init__(
        self,
        store: Store,
        agents: Agents,
        *,
        now: Callable[[], datetime],
        note: Note = _nobody,
    ) -> None:
        self._store = store
        self._agents = agents
        self._now = now
        self._note = note
        self._lock = threading.Lock()
        self._kept: OrderedDict[str, _Granted] = OrderedDict()

    def sight(self, name: str, agent_id: str | None, user_id: str | None) -> AgentSight | None:
        """What somebody of that name may see who speaks for an agent, a user, or both; None for
        neither."""
        if agent_id is None and user_id is None:
            return None
        return AgentSight(name, agent_id, user_id, self)

    def reach(self, actor: Actor) -> Reach:
        """The caller's reach, within what the actor may see."""
        sight = self.sight(actor.name, actor.agent_id, actor.user_id)
        return replace(actor.caller.reach, sight=sight, seen=None)

    def now(self, agent_id: str | None, user_id: str | None) -> Seen:
        """What the agent may see of the user's memories at this moment."""
        if agent_id is None:
            return Seen(user=user_id)
        granted = self._granted(agent_id)
        return Seen(
            agent=agent_id,
            user=user_id,
            denied=_category_tags(self._agents.restricted(agent_id)),
            shared=granted.shared,
            marks=granted.marks,
        )

    def note(self, sight: AgentSight, told: Sequence[Told]) -> None:
        """What one agent read that others wrote."""
        agent_id = sight.agent_id
        others = [one for one in told if one.agent_id not in (None, agent_id)]
        if agent_id is not None and others:
            self._note(sight.name, agent_id, sight.user_id, list(dict.fromkeys(others)))

    def seen(
        self, connection: Connection, actor: Actor, memories: Sequence[Memory]
    ) -> list[Memory]:
        """Those of the memories that the actor may see, as of the connection's transaction."""
        rules = self._rules(connection, actor, memories)
        return [memory for memory in memories if rules.why(memory) is not None]

    def writable(
        self, connection: Connection, actor: Actor, memories: Sequence[Memory]
    ) -> list[Memory]:
        """Those that it may change, whose system the caller may write: what it sees, and either
        wrote or has a live share to write of."""
        rules = self._rules(connection, actor, memories)
        return [memory for memory in memories if rules.may_write(memory)]

    def why(
        self, connection: Connection, actor: Actor, memories: Sequence[Memory]
    ) -> dict[Identity, str]:
        """Why each may be seen that may; see `Rules.why`."""
        rules = self._rules(connection, actor, memories)
        said = {(m.system_id, m.memory_id): rules.why(m) for m in memories}
        return {name: why for name, why in said.items() if why is not None}

    def _rules(self, connection: Connection, actor: Actor, memories: Sequence[Memory]) -> Rules:
        rules = Rules(self._agents, actor)
        if actor.agent_id is None:
            return rules
        names = [(m.system_id, m.memory_id) for m in memories if m.agent_id != actor.agent_id]
        if not names:
            return rules
        return replace(
            rules,
            shares=shares.for_agent(connection, actor.agent_id, names, self._now()),
            rules=tuple(r for r in shares.live_rules(connection) if r.is_for(actor.agent_id)),
        )

    def _granted(self, agent_id: str) -> _Granted:
        now = self._now()
        with self._store.look_up() as connection:
            # The number first: what is read after it may be newer, and is then read again.
            version = shares.version(connection)
            with self._lock:
                kept = self._kept.get(agent_id)
            if kept is not None and kept.is_of(version, now):
                return kept
            rows = shares.rows_for(connection, agent_id, now)
            rules = [rule for rule in shares.live_rules(connection) if rule.is_for(agent_id)]
        shared = RowIds(rows.row_ids) if rows.row_ids else NO_ROWS
        if kept is not None and kept.shared.same_as(shared):
            shared = kept.shared  # so that what is kept of it elsewhere counts on
        marks = (*self._global(agent_id), *_marks(rules))
        granted = _Granted(version, shared, marks, rows.until, rows.is_whole)
        with self._lock:
            self._kept[agent_id] = granted
            self._kept.move_to_end(agent_id)
            if len(self._kept) > KEPT:
                self._kept.popitem(last=False)
        return granted

    def _global(self, agent_id: str) -> tuple[Mark, ...]:
        """For agents that the settings name: whoever made up a name is shown nothing by it."""
        if agent_id not in self._agents.by_name or not self._agents.global_categories:
            return ()
        return (Mark(_category_tags(self._agents.global_categories)),)


@dataclass(frozen=True)
class AgentSight:
    """What somebody sees who speaks for an agent, a user, or both. Equal for the same of them.

    `name`: what the audit log calls whoever speaks.
    """

    name: str
    agent_id: str | None
    user_id: str | None
    _grants: Grants = field(compare=False, repr=False)

    def now(self) -> Seen:
        return self._grants.now(self.agent_id, self.user_id)

    def note(self, told: Sequence[Told]) -> None:
        self._grants.note(self, told)


@dataclass(frozen=True)
class Rules:
    """What one actor may see and change of some memories, by the grants that bear on those.

    `shares`: the actor's agent's; `rules`: the live ones that are for it.
    """

    agents: Agents
    actor: Actor
    shares: Mapping[Identity, Share] = field(default_factory=dict)
    rules: tuple[ShareRule, ...] = ()

    def why(self, memory: Memory) -> str | None:
        """`own`, `shared by NAME`, `category NAME`, `rule N`, or for whoever speaks for no agent
        `reach`; None where it may not be seen."""
        actor = self.actor
        if not actor.caller.reach.holds(memory.system_id, memory.project):
            return None
        if not self._is_users(memory):
            return None
        if actor.agent_id is None:
            return "reach"
        categories = categories_of(memory.tags or ())
        if categories & self.agents.restricted(actor.agent_id):
            return None
        if memory.agent_id == actor.agent_id:
            return "own"
        return self._by_grant(memory, categories)

    def may_write(self, memory: Memory) -> bool:
        """Whether it is for the actor to change, as far as agents go."""
        if self.why(memory) is None:
            return False
        if self.actor.agent_id in (None, memory.agent_id):
            return True
        share = self.shares.get((memory.system_id, memory.memory_id))
        return share is not None and share.permission == "write"

    def _is_users(self, memory: Memory) -> bool:
        """Whoever speaks for an agent and names no user sees what is of nobody."""
        actor = self.actor
        if actor.agent_id is None and actor.user_id is None:
            return True
        return memory.user_id in (None, actor.user_id)

    def _by_grant(self, memory: Memory, categories: Collection[str]) -> str | None:
        share = self.shares.get((memory.system_id, memory.memory_id))
        if share is not None:
            return f"shared by {share.granted_by}"
        known = self.actor.agent_id in self.agents.by_name
        of_all = sorted(self.agents.global_categories.intersection(categories) if known else ())
        if of_all:
            return f"category {of_all[0]}"
        for rule in self.rules:
            if _applies(rule, memory, categories):
                return f"rule {rule.rule_id}"
        return None


def _applies(rule: ShareRule, memory: Memory, categories: Collection[str]) -> bool:
    if rule.source_agent is not None and rule.source_agent != memory.agent_id:
        return False
    if rule.category is not None and rule.category not in categories:
        return False
    return rule.tag is None or rule.tag in (memory.tags or ())


def _marks(rules: Iterable[ShareRule]) -> tuple[Mark, ...]:
    """Rules as marks: those of one agent with one tag each make one mark."""
    single: dict[str | None, list[str]] = {}
    marks = []
    for rule in rules:
        tags = [] if rule.category is None else [CATEGORY_TAG + rule.category]
        tags += [] if rule.tag is None else [rule.tag]
        if len(tags) == 1:
            single.setdefault(rule.source_agent, []).extend(tags)
        else:
            marks.append(Mark((tags[0],), (tags[1],), rule.source_agent))
    return (*(Mark(_sorted(tags), (), agent) for agent, tags in single.items()), *marks)


def _category_tags(categories: Iterable[str]) -> tuple[str, ...]:
    return _sorted(CATEGORY_TAG + name for name in categories)


def _sorted(values: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted(set(values)))
