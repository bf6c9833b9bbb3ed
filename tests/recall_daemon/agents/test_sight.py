"""Who sees which memory: the named rules, and every read against a reference of a few lines."""

from __future__ import annotations

import itertools
import os
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import pytest

from recall_daemon.access.caller import LOCAL, Caller
from recall_daemon.agents.actor import Actor
from recall_daemon.agents.share_rules import RuleAsked
from recall_daemon.errors import Forbidden, MemoryNotFound
from recall_daemon.index.filters import NO_FILTERS
from recall_daemon.search.query import SearchRequest
from recall_wire.records import Record

SYSTEM = "agents"
AGENTS = (
    {"name": "primary"},
    {"name": "analyst", "restricted_categories": ["secret"]},
    {"name": "guard", "restricted_categories": ["user_preferences"]},
)
WORDS = "harbour"
SOAK = "RECALLD_TEST_SOAK" in os.environ


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


@pytest.fixture
async def house(open_test_hub: Any) -> AsyncIterator[House]:
    async with open_test_hub(agents=AGENTS) as hub:
        yield House(hub)


def memory(name: str, agent: str | None = None, user: str | None = None, **more: Any) -> Record:
    categories = more.pop("categories", ())
    tags = (*more.pop("tags", ()), *(f"category:{name}" for name in categories))
    return Record(name, agent_id=agent, user_id=user, tags=tags, **more)


def everywhere(house: House, agent: str | None, name: str, user: str | None = None) -> set[bool]:
    """What each way of reading says of one memory: all say the same."""
    return {
        name in house.found(agent, user),
        name in house.found(agent, user, mode="words"),
        name in house.listed(agent, user),
        name in house.got(agent, [name], user),
        name in house.named(agent, [name], user),
    }


async def test_an_agent_sees_its_own_memories_alone(house: House) -> None:
    house.put(memory("own", "primary"), memory("theirs", "analyst"), memory("nobodys"))
    assert everywhere(house, "primary", "own") == {True}
    assert everywhere(house, "primary", "theirs") == {False}
    assert everywhere(house, "primary", "nobodys") == {False}
    assert house.found(None) == {"own", "theirs", "nobodys"}


async def test_restricted_categories_deny_first_over_everything(house: House) -> None:
    """Its own, what is shared with it, what is global, and what a rule says."""
    house.put(
        memory("own", "analyst", categories=["secret"]),
        memory("shared", "primary", categories=["secret"]),
        memory("of-all", "primary", categories=["secret", "system_knowledge"]),
        memory("by-rule", "primary", categories=["secret"], tags=["x"]),
    )
    house.share("shared", "analyst", permission="write")
    house.rule("*", tag="x")
    for name in ("own", "shared", "of-all", "by-rule"):
        assert everywhere(house, "analyst", name) == {False}, name
    assert everywhere(house, "guard", "of-all") == {True}
    assert everywhere(house, "guard", "by-rule") == {True}


async def test_global_categories_are_seen_by_every_configured_agent(house: House) -> None:
    names = ("user_preferences", "system_knowledge", "security_alerts", "behavioral_patterns")
    house.put(*(memory(name, "primary", categories=[name]) for name in names))
    house.put(memory("other", "primary", categories=["gossip"]))
    assert house.found("analyst") == set(names)
    assert house.found("guard") == set(names) - {"user_preferences"}
    assert house.found("made-up") == set()


async def test_a_rule_shares_by_category_by_tag_and_by_both(house: House) -> None:
    house.put(
        memory("category", "primary", categories=["news"]),
        memory("tag", "primary", tags=["urgent"]),
        memory("both", "primary", categories=["tides"], tags=["low"]),
        memory("half", "primary", categories=["tides"]),
        memory("of-another", "guard", categories=["news"]),
    )
    house.rule("analyst", category="news", source_agent="primary")
    house.rule("analyst", tag="urgent")
    house.rule("analyst", category="tides", tag="low")
    seen = {"category", "tag", "both"}
    assert house.found("analyst") == seen
    assert house.listed("analyst") == seen
    assert house.found("guard") == {"of-another"}


async def test_revoking_takes_effect_at_the_next_read(house: House) -> None:
    house.put(memory("m", "primary", tags=["x"]))
    assert everywhere(house, "analyst", "m") == {False}
    (share_id,) = house.share("m", "analyst")
    assert everywhere(house, "analyst", "m") == {True}
    house.revoke(share_id)
    assert everywhere(house, "analyst", "m") == {False}
    rule_id = house.rule("analyst", tag="x")
    assert everywhere(house, "analyst", "m") == {True}
    house.hub.hub.shared.share_rules.revoke(house.actor(None), rule_id)
    assert everywhere(house, "analyst", "m") == {False}


async def test_a_share_ends_when_it_expires(house: House) -> None:
    house.put(memory("m", "primary"))
    house.share("m", "analyst", expires_in_s=60)
    assert everywhere(house, "analyst", "m") == {True}
    house.hub.clock[0] += timedelta(seconds=60)
    assert everywhere(house, "analyst", "m") == {False}


async def test_users_never_see_each_others_memories(house: House) -> None:
    house.put(
        memory("anns", "primary", "ann", categories=["system_knowledge"], tags=["x"]),
        memory("nobodys", "primary", categories=["system_knowledge"]),
    )
    house.share("anns", "analyst")
    house.rule("*", tag="x")
    for agent in ("primary", "analyst", "guard"):
        assert everywhere(house, agent, "anns", "ann") == {True}
        assert everywhere(house, agent, "anns", "bob") == {False}
        assert everywhere(house, agent, "anns") == {False}
        assert everywhere(house, agent, "nobodys", "bob") == {True}


async def test_who_speaks_for_a_user_alone_sees_all_but_other_users(house: House) -> None:
    house.put(memory("anns", "primary", "ann"), memory("bobs", "guard", "bob"), memory("free"))
    assert everywhere(house, None, "anns", "ann") == {True}
    assert everywhere(house, None, "bobs", "ann") == {False}
    assert everywhere(house, None, "free", "ann") == {True}


async def test_a_user_whose_name_has_line_ends_crowds_nobody_out(house: House) -> None:
    odd = [memory(f"odd{n}", "primary", "a\nb", text=f"{WORDS} {WORDS} {n}") for n in range(60)]
    house.put(*odd, memory("plain", "primary", "a", text=f"{WORDS} and much besides"))
    filters = house.caller("primary", "a").reach.narrowed(NO_FILTERS)
    assert filters is not None
    view, coded = house.core.index.view_for(filters)
    assert len(view.search_words(WORDS, coded, 1)) == 1
    assert house.found("primary", "a", mode="words") == {"plain"}


async def test_access_is_decided_before_top_k(house: House) -> None:
    """k hits although thousands of rows that may not be seen answer better."""
    best = f"{WORDS} {WORDS} {WORDS}"
    unseen = [memory(f"u{n}", "primary", text=f"{best} {n}") for n in range(3_000)]
    seen = [memory(f"s{n}", "analyst", text=f"{WORDS} and much else besides {n}") for n in range(8)]
    shared = [memory(f"g{n}", "primary", text=f"{WORDS} once among others {n}") for n in range(4)]
    house.put(*unseen, *seen, *shared)
    await house.embedded()
    for one in shared:
        house.share(one.memory_id, "analyst")
    caller = house.caller("analyst")
    for mode in ("words", "meaning", "hybrid"):
        request = SearchRequest(WORDS, limit=10, fold=False, mode=mode)  # type: ignore[arg-type]
        hits = house.core.operations.seen_by(caller).search(request)["hits"]
        assert len(hits) == 10
        assert {hit["memory_id"][0] for hit in hits} <= {"s", "g"}
    assert house.listed("analyst") == {f"s{n}" for n in range(8)} | {f"g{n}" for n in range(4)}


async def test_a_memory_that_comes_after_the_share_is_seen_when_it_is_there(house: House) -> None:
    """A restore brings shares back before the snapshots that their memories are in."""
    house.put(memory("m", "primary"))
    house.share("m", "analyst")
    house.core.store.write(lambda c: c.execute("DELETE FROM memories"))
    assert house.listed("analyst") == set()
    house.put(memory("m", "primary"))
    assert house.listed("analyst") == {"m"}


async def test_a_share_is_given_by_who_may_write_the_memory(house: House) -> None:
    house.put(memory("m", "primary"), memory("hidden", "primary"))
    with pytest.raises(MemoryNotFound):
        house.share("hidden", "guard", by="analyst")
    house.share("m", "analyst")
    with pytest.raises(Forbidden):
        house.share("m", "guard", by="analyst")
    house.share("m", "analyst", permission="write", by="primary")
    house.share("m", "guard", by="analyst")
    assert everywhere(house, "guard", "m") == {True}


async def test_sharing_again_changes_the_share(house: House) -> None:
    house.put(memory("m", "primary"))
    first = house.share("m", "analyst")
    again = house.share("m", "analyst", "guard", permission="write")
    assert again[0] == first[0]
    listed = house.hub.hub.shared.sharing.list(house.actor("primary"), "m")["shares"]
    assert {(s["agent"], s["permission"]) for s in listed} == {
        ("analyst", "write"),
        ("guard", "write"),
    }


async def test_what_is_not_yours_is_answered_as_what_is_not_there(house: House) -> None:
    house.put(memory("theirs", "primary"))
    said = set()
    for name in ("theirs", "nothing"):
        with pytest.raises(MemoryNotFound) as refused:
            house.core.memories.get(SYSTEM, name, house.caller("analyst").reach)
        said.add(str(refused.value))
    assert len(said) == 1


async def test_reads_across_agents_are_in_the_audit_log_once_a_request(house: House) -> None:
    house.put(memory("m", "primary"), memory("n", "primary"), memory("own", "analyst"))
    house.share("m", "analyst")
    house.share("n", "analyst")

    def entries() -> list[Any]:
        found = house.core.operations.audit(action="memories.read_across")["entries"]
        return [(one["body"]["agent"], sorted(one["body"]["ids"])) for one in found]

    house.found("analyst")
    assert entries() == [("analyst", ["agents/m", "agents/n"])]
    house.got("analyst", ["m", "own"])
    assert entries()[0] == ("analyst", ["agents/m"])
    house.listed("analyst")
    house.found("primary")
    house.found(None)
    assert len(entries()) == 3
    assert house.core.operations.audit_verify()["ok"]


# The matrix: each read of each agent, against a reference that was written from the rules.

CATEGORIES = (None, "secret", "user_preferences", "system_knowledge", "news")
OWNERS = ("primary", "analyst", "guard", None) if SOAK else ("primary", "analyst", None)
USERS = (None, "ann", "bob") if SOAK else (None, "ann")
GRANTS = ("none", "share", "revoked", "expired") if SOAK else ("none", "share", "revoked")
MODES = ("words", "meaning", "hybrid")
RESTRICTED = {"analyst": {"secret"}, "guard": {"user_preferences"}}
GLOBAL = {"user_preferences", "system_knowledge", "security_alerts", "behavioral_patterns"}


@dataclass(frozen=True)
class Case:
    owner: str | None
    user: str | None
    category: str | None
    tag: str | None
    grant: str

    @property
    def name(self) -> str:
        return "-".join(str(part) for part in (*vars(self).values(),))


CASES = [
    Case(*parts) for parts in itertools.product(OWNERS, USERS, CATEGORIES, (None, "wide"), GRANTS)
]


def may_see(case: Case, agent: str | None, user: str | None) -> bool:
    """Of the rules: `wide` of primary for analyst, `news` of anybody for every agent."""
    if agent is None:
        return user is None or case.user in (None, user)
    if case.category in RESTRICTED.get(agent, ()) or case.user not in (None, user):
        return False
    granted = case.grant == "share" and agent in ("analyst", "stranger")
    is_global = case.category in GLOBAL and agent in ("primary", "analyst", "guard")
    by_rule = case.category == "news" or (
        agent == "analyst" and case.tag == "wide" and case.owner == "primary"
    )
    return case.owner == agent or granted or is_global or by_rule


async def test_every_read_of_every_agent_shows_what_the_rules_say(house: House) -> None:
    house.put(
        *(
            memory(
                case.name,
                case.owner,
                case.user,
                categories=[case.category] if case.category else [],
                tags=[case.tag] if case.tag else [],
                session_id="one",
                text=f"{WORDS} {number}",
            )
            for number, case in enumerate(CASES)
        )
    )
    await house.embedded()
    house.rule("analyst", tag="wide", source_agent="primary")
    house.rule("*", category="news")
    for case in CASES:
        if case.grant != "none":
            life = 60 if case.grant == "expired" else None
            ids = house.share(case.name, "analyst", "stranger", expires_in_s=life)
            for share_id in ids if case.grant == "revoked" else []:
                house.revoke(share_id)
    house.hub.clock[0] += timedelta(seconds=61)
    names = [case.name for case in CASES]
    viewers = itertools.product(("primary", "analyst", "guard", "stranger", None), USERS)
    for number, (agent, user) in enumerate(viewers):
        expected = {case.name for case in CASES if may_see(case, agent, user)}
        assert _all_listed(house, agent, user) == expected, (agent, user)
        assert house.named(agent, names, user) == expected, (agent, user)
        for mode in MODES if SOAK else (MODES[number % 3],):
            assert _all_found(house, agent, user, mode) == expected, (agent, user, mode)
        some = names[:: len(names) // 20]
        assert house.got(agent, some, user) == expected & set(some)
        if expected:
            assert house.related(agent, min(expected), user) <= expected


def _all_listed(house: House, agent: str | None, user: str | None) -> set[str]:
    found, cursor = set[str](), None
    while True:
        reach = house.caller(agent, user).reach
        page = house.core.memories.recent(limit=100, cursor=cursor, reach=reach)
        found |= {one["memory_id"] for one in page["memories"]}
        cursor = page["next_cursor"]
        if cursor is None:
            return found


def _all_found(house: House, agent: str | None, user: str | None, mode: Any) -> set[str]:
    found, at = set[str](), 0
    hub = house.core.operations.seen_by(house.caller(agent, user))
    while at is not None:
        page = hub.search(SearchRequest(WORDS, limit=100, offset=at, fold=False, mode=mode))
        found |= {hit["memory_id"] for hit in page["hits"]}
        at = page["next_offset"]
    return found
