"""A hub with configured agents, of which tests ask who sees what."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

from recall_daemon.access.caller import LOCAL, Caller
from recall_daemon.agents.actor import Actor
from recall_daemon.agents.share_rules import RuleAsked
from recall_daemon.errors import MemoryNotFound
from recall_daemon.search.query import SearchRequest
from recall_wire.records import Record

SYSTEM = "agents"
AGENTS = (
    {"name": "primary"},
    {"name": "analyst", "restricted_categories": ["secret"]},
    {"name": "guard", "restricted_categories": ["user_preferences"]},
)
WORDS = "harbour"


@dataclass
class House:
    """A hub with configured agents, and what each sees of it, whichever way it looks."""

    hub: Any

    @property
    def core(self) -> Any:
        return self.hub.hub.core

    def caller(self, agent: str | None, user: str | None = None, base: Caller = LOCAL) -> Caller:
        return base.speaking_for(agent, user, self.core.grants.sight)

    def actor(self, agent: str | None, user: str | None = None) -> Actor:
        return Actor(self.caller(agent, user), agent, user)

    def put(self, *records: Record) -> None:
        """Each text is found by its own words, and by `WORDS`."""
        said = [replace(r, text=r.text or f"{WORDS} {r.memory_id}") for r in records]
        self.core.operations._posts.store(SYSTEM, said, actor="test")
        self.core.follow()

    async def embedded(self) -> None:
        """Every text has its vector."""
        assert await self.hub.hub.finish() == 0

    def share(self, name: str, *agents: str, by: str | None = None, **terms: Any) -> list[int]:
        told = self.hub.hub.shared.sharing.share_with_agents(self.actor(by), name, agents, **terms)
        return list(told["share_ids"])

    def revoke(self, share_id: int) -> None:
        self.hub.hub.shared.sharing.revoke(self.actor(None), share_id)

    def rule(self, *targets: str, **asked: Any) -> int:
        told = self.hub.hub.shared.share_rules.add(self.actor(None), RuleAsked(targets, **asked))
        return int(told["rule_id"])

    def found(self, agent: str | None, user: str | None = None, **asked: Any) -> set[str]:
        reach = self.caller(agent, user).reach
        request = SearchRequest(WORDS, limit=100, fold=False, **asked)
        with_reach = self.core.operations.seen_by(self.caller(agent, user))
        assert reach == with_reach._caller.reach
        return {hit["memory_id"] for hit in with_reach.search(request)["hits"]}

    def listed(self, agent: str | None, user: str | None = None) -> set[str]:
        answer = self.core.memories.recent(limit=100, reach=self.caller(agent, user).reach)
        return {one["memory_id"] for one in answer["memories"]}

    def got(self, agent: str | None, names: Iterable[str], user: str | None = None) -> set[str]:
        reach = self.caller(agent, user).reach
        found = set()
        for name in names:
            try:
                found.add(self.core.memories.get(SYSTEM, name, reach)["memory_id"])
            except MemoryNotFound:
                continue
        return found

    def named(self, agent: str | None, names: Iterable[str], user: str | None = None) -> set[str]:
        """By the ids of the agents' side."""
        with self.core.store.look_up() as connection:
            actor = self.actor(agent, user)
            return set(self.hub.hub.shared.naming.find_all(connection, actor, list(names)))

    def related(self, agent: str | None, to: str, user: str | None = None) -> set[str]:
        answer = self.core.memories.related(
            SYSTEM, to, limit=100, reach=self.caller(agent, user).reach
        )
        parts = [answer["before"], answer["after"], answer["nearest"]]
        return {one["memory_id"] for part in parts for one in part}


def memory(name: str, agent: str | None = None, user: str | None = None, **more: Any) -> Record:
    categories = more.pop("categories", ())
    tags = (*more.pop("tags", ()), *(f"category:{name}" for name in categories))
    return Record(name, agent_id=agent, user_id=user, tags=tags, **more)
