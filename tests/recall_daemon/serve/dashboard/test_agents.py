"""The pages of agents and conflicts, and what a memory's page has of both."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any

import pytest

from recall_daemon.access.caller import LOCAL
from recall_daemon.access.tokens import Asked
from recall_daemon.agents.actor import Actor
from recall_daemon.agents.editing import Terms
from recall_daemon.agents.share_rules import RuleAsked

GUARD = Actor(LOCAL, "guard", "u-1")
HOSTILE = "<img src=x onerror='pwned()'> {{7*7}} `x`"
SYSTEM = "agents"


@dataclass(frozen=True)
class Filled:
    """A hub whose agent guard has two memories: `both` in conflict, `held` shared and locked."""

    hub: Any
    shared: Any
    conflict: str

    def served(self) -> str:
        versions = self.shared.review.versions(GUARD, "both")["versions"]
        return str(next(one["content"] for one in versions if one["served"]))

    def is_open(self) -> bool:
        return bool(self.shared.review.conflict(GUARD, self.conflict)["state"] == "open")

    def token(self, **asked: Any) -> str:
        return str(self.hub.hub.core.tokens.create(Asked(**asked), actor="test")[1])


@pytest.fixture
def open_filled(open_test_hub: Any) -> Any:
    return lambda: open_test_hub(agents=[{"name": "guard", "specialities": ["doors"]}])


async def _fill(hub: Any) -> Filled:
    shared = hub.hub.shared
    shared.memories.add(GUARD, {"content": "The first word.", "memory_id": "both"})
    shared.memories.add(GUARD, {"content": HOSTILE, "memory_id": "held", "importance": 0.8})
    base = shared.review.versions(GUARD, "both")["head"]
    for word in ("Our word.", "Their word."):
        terms = Terms(base_version=base, strategy="manual_review")
        met = shared.editing.update(GUARD, "both", {"content": word}, terms)
    related = {"from_id": "both", "to_id": "held", "type": "explains"}
    shared.relations.add(GUARD, related)
    shared.sharing.share_with_agents(GUARD, "held", ["helper"])
    await shared.locks.acquire(GUARD, "held")
    await hub.hub.finish()
    return Filled(hub, shared, met["conflict_id"])


async def _until(true: Any) -> None:
    async with asyncio.timeout(20):
        while not true():
            await asyncio.sleep(0)


async def test_what_the_pages_show(open_filled: Any, serve_pages: Any) -> None:
    async with open_filled() as hub, serve_pages(hub) as site:
        filled = await _fill(hub)
        browser = site.browser()
        queue = await browser.get("/conflicts")
        assert {"Ours", "Theirs", "Our word.", "Their word."} <= set(queue.texts)
        assert {"-Our word.", "+Their word."} <= set(queue.texts) or {
            "-Their word.",
            "+Our word.",
        } <= set(queue.texts)
        assert f"/memory?system={SYSTEM}&id=both" in queue.links
        for label in ("Choose ours of", "Choose theirs of", "Merge"):
            assert queue.button(f"{label} {SYSTEM} / both")
        agents = await browser.get("/agents")
        assert {"guard", "doors", "helper", f"{SYSTEM} / held"} <= set(agents.texts)
        assert "local/guard" in agents.texts
        assert agents.button(f"Take the lock of {SYSTEM}/held away")
        assert agents.button(f"Revoke the share of {SYSTEM}/held for helper")
        of_guard = await browser.get("/agents", name="guard")
        assert {HOSTILE, "locked by local/guard", "in conflict"} <= set(of_guard.texts)
        held = await browser.get("/memory", system=SYSTEM, id="held")
        assert {"Versions", "Relationships", "Shares", "helper", "Among agents"} <= set(held.texts)
        assert "0.800, falling from 0.800" in held.texts
        assert any(text.startswith("local/guard, until") for text in held.texts)
        both = await browser.get("/memory", system=SYSTEM, id="both")
        assert {"Our word.", "Their word.", "The first word.", "served"} <= set(both.texts)
        assert {"memories.stored", "memory.updated", "relationship.added"} <= set(both.texts)
        assert "memory.shared" in held.texts
        assert "Several changed it at the same time: decide" in both.texts
        for page in (queue, agents, of_guard, held, both):
            assert "<img src=x" not in page.answer.text
        assert filled.is_open()


async def test_choosing_and_undoing(open_filled: Any, serve_pages: Any) -> None:
    async with open_filled() as hub, serve_pages(hub) as site:
        filled = await _fill(hub)
        browser, name = site.browser(), f"{SYSTEM} / both"
        sides = filled.shared.review.conflict(GUARD, filled.conflict)
        for side in ("theirs", "ours"):
            page = await browser.get("/conflicts")
            async with browser.connected(page) as client:
                await browser.click(client, page, f"Choose {side} of {name}")
                await _until(lambda: not filled.is_open())
            assert filled.served() == sides[side]["record"]["content"]
            assert "No conflict waits." in (await browser.get("/conflicts")).texts
            page = await browser.get("/conflicts", state="resolved")
            assert any("loopback" in text for text in page.texts)
            async with browser.connected(page) as client:
                await browser.click(client, page, f"Undo the resolution of {name}")
                await _until(filled.is_open)


async def test_a_share_is_revoked(open_filled: Any, serve_pages: Any) -> None:
    async with open_filled() as hub, serve_pages(hub) as site:
        filled = await _fill(hub)
        browser = site.browser()
        page = await browser.get("/agents")
        label = f"Revoke the share of {SYSTEM}/held for helper"
        async with browser.connected(page) as client:
            await browser.click(client, page, label)
            await _until(lambda: not filled.shared.sharing.list(GUARD, "held")["shares"])
        assert "Nothing is shared one by one." in (await browser.get("/agents")).texts


async def test_a_rule_is_revoked(open_filled: Any, serve_pages: Any) -> None:
    async with open_filled() as hub, serve_pages(hub) as site:
        filled = await _fill(hub)
        rules = filled.shared.share_rules
        number = rules.add(Actor(LOCAL), RuleAsked(["helper"], tag=HOSTILE))["rule_id"]
        browser = site.browser()
        page = await browser.get("/agents")
        assert {HOSTILE, "anybody", "helper"} <= set(page.texts)
        async with browser.connected(page) as client:
            await browser.click(client, page, f"Revoke rule {number}")
            await _until(lambda: not rules.list(Actor(LOCAL))["rules"])
        assert "Nothing is shared by a rule." in (await browser.get("/agents")).texts


async def test_a_memory_is_reinforced_on_its_page(open_filled: Any, serve_pages: Any) -> None:
    async with open_filled() as hub, serve_pages(hub) as site:
        filled = await _fill(hub)
        browser = site.browser()
        page = await browser.get("/memory", system=SYSTEM, id="both")
        for act in ("Edit", "Reinforce", "Share", "Delete"):
            assert page.button(f"{act} {SYSTEM}/both")

        def importance() -> float:
            return float(filled.shared.memories.get(GUARD, "both")["memory"]["importance"])

        before = importance()
        async with browser.connected(page) as client:
            await browser.click(client, page, f"Reinforce {SYSTEM}/both")
            await _until(lambda: importance() > before)


async def test_what_was_deleted_is_brought_back_on_its_page(
    open_filled: Any, serve_pages: Any
) -> None:
    async with open_filled() as hub, serve_pages(hub) as site:
        filled = await _fill(hub)
        filled.shared.deleting.delete(GUARD, "both")
        instance = {"role": "instance", "system_id": SYSTEM}
        for token in (
            filled.token(role="reader", systems=("laptop",)),
            filled.token(**instance, user_id="u-2"),
        ):
            page = await site.browser(token).get("/memory", system=SYSTEM, id="both")
            assert "There is no such memory, or none that you may see." in page.texts
        reader = site.browser(filled.token(role="reader", systems=(SYSTEM,)))
        page = await reader.get("/memory", system=SYSTEM, id="both")
        assert any(text.startswith("It is deleted: ") for text in page.texts)
        assert "Bring it back" not in page.texts
        browser = site.browser(filled.token(role="admin"))
        page = await browser.get("/memory", system=SYSTEM, id="both")
        async with browser.connected(page) as client:
            await browser.click(client, page, f"Bring {SYSTEM}/both back")
            await _until(lambda: filled.shared.fates.fate(GUARD, "both")["state"] == "live")
        assert "Versions" in (await browser.get("/memory", system=SYSTEM, id="both")).texts


async def test_users_and_readers_see_what_they_may(open_filled: Any, serve_pages: Any) -> None:
    async with open_filled() as hub, serve_pages(hub) as site:
        filled = await _fill(hub)
        instance = {"role": "instance", "system_id": SYSTEM}
        unseen = [
            filled.token(role="reader", systems=("laptop",)),
            filled.token(**instance, user_id="u-2"),
            filled.token(**instance, agent_id="helper", user_id="u-2"),
        ]
        for token in unseen:
            browser = site.browser(token)
            pages = [
                await browser.get("/conflicts"),
                await browser.get("/conflicts", state="all"),
                await browser.get("/agents"),
                await browser.get("/agents", name="guard"),
                await browser.get("/memory", system=SYSTEM, id="both"),
            ]
            said = {text for page in pages for text in page.texts}
            assert (
                not {"Our word.", "Their word.", HOSTILE, f"{SYSTEM} / both", f"{SYSTEM} / held"}
                & said
            )
            assert "It has written nothing that you may see." in said
        reader = site.browser(filled.token(role="reader", systems=(SYSTEM,)))
        for path in ("/conflicts", "/agents"):
            page = await reader.get(path)
            buttons = {"Choose ours", "Merge…", "Take away…", "Revoke", "Undo"}
            assert not buttons & set(page.texts)
        page = await reader.get("/memory", system=SYSTEM, id="both")
        assert "Versions" in page.texts
        assert not {"Edit…", "Reinforce", "Share…", "Delete…"} & set(page.texts)
        assert "Our word." in (await reader.get("/conflicts")).texts
        user = site.browser(filled.token(**instance, user_id="u-1"))
        page = await user.get("/conflicts")
        async with user.connected(page) as client:
            await user.click(client, page, f"Choose ours of {SYSTEM} / both")
            await _until(lambda: not filled.is_open())


async def test_what_is_refused_is_told_and_changes_nothing(
    open_filled: Any, serve_pages: Any
) -> None:
    async with open_filled() as hub, serve_pages(hub) as site:
        filled = await _fill(hub)
        await filled.shared.locks.acquire(GUARD, "both")
        browser = site.browser()
        page = await browser.get("/conflicts")
        async with browser.connected(page) as client:
            await browser.click(client, page, f"Choose ours of {SYSTEM} / both")
            async with asyncio.timeout(20):
                while "another holds the lock" not in str(await client.receive()):
                    pass
        assert filled.is_open()
        for path, asked in (
            ("/conflicts", {"state": "odd", "cursor": "x"}),
            ("/agents", {"name": "x" * 300, "cursor": "x"}),
            ("/agents", {"name": "nobody"}),
        ):
            assert (await browser.get(path, **asked)).answer.status_code == 200
