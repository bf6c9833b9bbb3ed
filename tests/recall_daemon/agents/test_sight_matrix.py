"""Every read of every agent, against a reference that was written from the rules."""

from __future__ import annotations

import itertools
import os
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # sight_house

from sight_house import AGENTS, WORDS, House, memory

from recall_daemon.search.query import SearchRequest

SOAK = "RECALLD_TEST_SOAK" in os.environ
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


@pytest.fixture
async def house(open_test_hub: Any) -> AsyncIterator[House]:
    async with open_test_hub(agents=AGENTS) as hub:
        yield House(hub)


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
