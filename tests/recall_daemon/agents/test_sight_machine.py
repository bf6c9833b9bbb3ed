"""Sharing and denial against a model of a page: grants, rules, categories, a clock, restarts."""

from __future__ import annotations

import itertools
import os
import tempfile
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    rule,
    run_state_machine_as_test,
)

from recall_daemon.access.caller import LOCAL
from recall_daemon.agents.actor import Actor
from recall_daemon.agents.config import Agents, AgentSetting
from recall_daemon.agents.naming import Naming
from recall_daemon.agents.share_rules import RuleAsked, ShareRules
from recall_daemon.agents.sharing import Sharing
from recall_daemon.agents.sight import Grants
from recall_daemon.errors import Forbidden, MemoryNotFound
from recall_daemon.index.filters import NO_FILTERS, CodedFilters
from recall_daemon.index.follower import Index
from recall_daemon.store import posts, showing
from recall_daemon.store.memories import StoreFeed
from recall_daemon.store.store import Store
from recall_wire.records import Record

SOAK = "RECALLD_TEST_SOAK" in os.environ
STEPS = 50
EXAMPLES = 200 if SOAK else 2  # 10,000 steps, or 100
# Of the nine pairs of an agent and a user so many look after each step, by turns.
LOOKS = 3

START = datetime(2026, 1, 1, tzinfo=UTC)
SYSTEM = "agents"
AGENTS = Agents(
    [
        AgentSetting(name="ann", restricted_categories=("secret",)),
        AgentSetting(name="bob", restricted_categories=("system_knowledge",)),
    ]
)
CONFIGURED = {"ann": {"secret"}, "bob": {"system_knowledge"}}
# `cid` is not in the settings.
NAMES, USERS = ("ann", "bob", "cid"), (None, "u1", "u2")
MEMORIES = ("m0", "m1", "m2", "m3")
CATEGORIES = (None, "secret", "system_knowledge", "news")
TAGS = (None, "t")

agents, users = st.sampled_from(NAMES), st.sampled_from(USERS)
owners = st.sampled_from((*NAMES, None))
memories, categories = st.sampled_from(MEMORIES), st.sampled_from(CATEGORIES)
tags, lives = st.sampled_from(TAGS), st.sampled_from((None, 10, 100))
speakers = st.tuples(agents, users)
permissions = st.sampled_from(("read", "write"))


@dataclass
class Memory:
    owner: str | None
    user: str | None
    category: str | None
    tag: str | None


@dataclass
class Grant:
    agent: str
    memory: str
    permission: str
    ends: int | None


@dataclass
class Rule:
    source: str | None
    category: str | None
    tag: str | None
    target: str


class Model:
    """Who sees what, as the text says it. Times are seconds since the start."""

    def __init__(self) -> None:
        self.now = 0
        self.memories: dict[str, Memory] = {}
        self.grants: dict[int, Grant] = {}
        self.rules: dict[int, Rule] = {}

    def granted(self, agent: str, name: str, *permissions: str) -> bool:
        return any(
            g.agent == agent
            and g.memory == name
            and g.permission in permissions
            and (g.ends is None or g.ends > self.now)
            for g in self.grants.values()
        )

    def ruled(self, agent: str, memory: Memory) -> bool:
        return any(
            r.source in (None, memory.owner)
            and r.category in (None, memory.category)
            and r.tag in (None, memory.tag)
            and r.target in ("*", agent)
            for r in self.rules.values()
        )

    def sees(self, agent: str, user: str | None, name: str) -> bool:
        memory = self.memories[name]
        if memory.category in CONFIGURED.get(agent, set()) or memory.user not in (None, user):
            return False
        is_global = memory.category == "system_knowledge" and agent in CONFIGURED
        granted = self.granted(agent, name, "read", "write")
        return memory.owner == agent or granted or is_global or self.ruled(agent, memory)

    def writes(self, agent: str, user: str | None, name: str) -> bool:
        is_its = self.memories[name].owner == agent or self.granted(agent, name, "write")
        return is_its and self.sees(agent, user, name)


class Sights(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.model = Model()
        self.viewers = itertools.cycle(itertools.product(NAMES, USERS))
        self.open()

    def open(self) -> None:
        self.store = Store(Path(self.folder.name))
        self.grants = Grants(self.store, AGENTS, now=self.now)
        naming = Naming(self.grants, SYSTEM)
        self.naming = naming
        self.sharing = Sharing(self.store, naming, now=self.now)
        self.share_rules = ShareRules(self.store, now=self.now)
        self.index = Index(4)
        self.feed = StoreFeed(self.store, lambda: None)
        self.index.apply(self.feed)

    def now(self) -> datetime:
        return START + timedelta(seconds=self.model.now)

    def teardown(self) -> None:
        self.index.close()
        self.store.close()
        self.folder.cleanup()

    def actor(self, agent: str | None, user: str | None) -> Actor:
        return Actor(LOCAL.speaking_for(agent, user, self.grants.sight), agent, user)

    @rule(name=memories, owner=owners, user=users, category=categories, tag=tags)
    def write(
        self, name: str, owner: str | None, user: str | None, category: str | None, tag: str | None
    ) -> None:
        """Also over one that is there: categories and tags change under the grants."""
        said = [t for t in (category and f"category:{category}", tag) if t]
        record = Record(name, text="tide", agent_id=owner, user_id=user, tags=tuple(said))
        self.store.write(lambda c: posts.post(c, SYSTEM, [record], self.now()))
        self.index.apply(self.feed)
        self.model.memories[name] = Memory(owner, user, category, tag)

    @rule(by=speakers, name=memories, to=agents, life=lives, permission=permissions)
    def share(
        self, by: tuple[str, str | None], name: str, to: str, life: int | None, permission: str
    ) -> None:
        agent, user = by
        if name not in self.model.memories:
            return
        may = self.model.writes(agent, user, name)
        try:
            told = self.sharing.share_with_agents(
                self.actor(agent, user),
                name,
                [to],
                permission=permission,  # type: ignore[arg-type]
                expires_in_s=life,
            )
        except MemoryNotFound:
            assert not self.model.sees(agent, user, name)
        except Forbidden:
            assert self.model.sees(agent, user, name)
            assert not may
        else:
            assert may
            ends = None if life is None else self.model.now + life
            self.model.grants[told["share_ids"][0]] = Grant(to, name, permission, ends)

    @rule(by=agents, user=users, pick=st.integers(0, 5))
    def revoke(self, by: str, user: str | None, pick: int) -> None:
        if not self.model.grants:
            return
        share_id = sorted(self.model.grants)[pick % len(self.model.grants)]
        name = self.model.grants[share_id].memory
        may = self.model.writes(by, user, name)
        try:
            self.sharing.revoke(self.actor(by, user), share_id)
        except MemoryNotFound:
            assert not self.model.sees(by, user, name)
        except Forbidden:
            assert self.model.sees(by, user, name)
            assert not may
        else:
            assert may
            del self.model.grants[share_id]

    @rule(source=owners, category=categories, tag=tags, to=st.sampled_from((*NAMES, "*")))
    def make_rule(self, source: str | None, category: str | None, tag: str | None, to: str) -> None:
        if category is None and tag is None:
            return
        asked = RuleAsked([to], source, category, tag)
        rule_id = self.share_rules.add(self.actor(None, None), asked)["rule_id"]
        self.model.rules[rule_id] = Rule(source, category, tag, to)

    @rule(pick=st.integers(0, 5))
    def drop_rule(self, pick: int) -> None:
        if self.model.rules:
            rule_id = sorted(self.model.rules)[pick % len(self.model.rules)]
            self.share_rules.revoke(self.actor(None, None), rule_id)
            del self.model.rules[rule_id]

    @rule(seconds=st.sampled_from((1, 10, 100)))
    def wait(self, seconds: int) -> None:
        self.model.now += seconds

    @rule()
    def restart(self) -> None:
        self.index.close()
        self.store.close()
        self.open()

    @invariant()
    def each_read_shows_what_the_model_says(self) -> None:
        for agent, user in itertools.islice(self.viewers, LOOKS):
            expected = {n for n in self.model.memories if self.model.sees(agent, user, n)}
            actor = self.actor(agent, user)
            assert self._listed(actor) == expected, (agent, user)
            assert self._named(actor) == expected, (agent, user)
            assert self._found(actor) == expected, (agent, user)

    def _listed(self, actor: Actor) -> set[str]:
        filters = actor.caller.reach.narrowed(NO_FILTERS)
        assert filters is not None
        with self.store.look_up() as connection:
            return {m.memory_id for m in showing.newest(connection, filters, None, 10)}

    def _named(self, actor: Actor) -> set[str]:
        with self.store.look_up() as connection:
            return set(self.naming.find_all(connection, actor, MEMORIES))

    def _found(self, actor: Actor) -> set[str]:
        """By words, and by the columns that the search by meaning goes by."""
        filters = actor.caller.reach.narrowed(NO_FILTERS)
        assert filters is not None
        view, coded = self.index.view_for(filters)
        assert coded is not None
        by_words = {hit.row_id for hit in view.search_words("tide", coded, 10)}
        rows = view.passing(range(1, 20), CodedFilters()).tolist()
        passing = view.selections.of(view.columns, view.vectors, coded).rows
        assert by_words == set(view.columns.row_id[passing].tolist())
        assert by_words == set(view.passing(rows, coded).tolist())
        with self.store.look_up() as connection:
            return {m.memory_id for m in showing.by_row_ids(connection, sorted(by_words))}


def test_sharing_and_denial_do_what_the_model_does() -> None:
    run_state_machine_as_test(
        Sights,
        settings=settings(
            max_examples=EXAMPLES,
            stateful_step_count=STEPS,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
