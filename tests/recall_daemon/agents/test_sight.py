"""Who sees which memory: the named rules."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # sight_house

from sight_house import AGENTS, SYSTEM, WORDS, House, memory

from recall_daemon.errors import Forbidden, MemoryNotFound
from recall_daemon.index.filters import NO_FILTERS
from recall_daemon.search.query import SearchRequest


@pytest.fixture
async def house(open_test_hub: Any) -> AsyncIterator[House]:
    async with open_test_hub(agents=AGENTS) as hub:
        yield House(hub)


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
