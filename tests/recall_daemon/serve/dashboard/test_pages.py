"""The pages over HTTP and their connection: what is shown to whom, and what a click does."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from typing import Any

from recall_daemon.access.tokens import Asked
from recall_wire.records import Record

HOSTILE = (
    "<script>pwned()</script><img src=x onerror='pwned()'> **b** {{7*7}} ${pwned()} `x` "
    "[a](javascript:pwned()) </script> kafka"
)


def _records() -> list[Record]:
    return [
        Record(memory_id="m1", kind="note", text="kafka lag climbed", project="p", session_id="s"),
        Record(memory_id="a/b?c=d&e#f", kind="note", text=HOSTILE, project="q", session_id="s"),
    ]


async def _fill(test_hub: Any, publisher: Any) -> None:
    publisher.publish("laptop-7", 1, _records())
    publisher.publish("secret-9", 1, [Record(memory_id="s1", kind="note", text="kafka secret")])
    manifest, data = publisher.manifest("laptop-7", 2, _records())
    key = f"systems/laptop-7/snapshots/000000000002/{manifest.files[0].name}"
    publisher.bucket.put(key, b"x" * len(data))
    publisher.commit("laptop-7", 2, manifest.to_bytes())
    await test_hub.once()


def _token(test_hub: Any, **asked: Any) -> str:
    _, token = test_hub.hub.core.tokens.create(Asked(**asked), actor="test")
    return str(token)


async def _until(true: Any) -> None:
    async with asyncio.timeout(20):
        while not true():
            await asyncio.sleep(0)


async def test_an_empty_hub_says_how_to_begin(open_test_hub: Any, serve_pages: Any) -> None:
    async with open_test_hub() as test_hub, serve_pages(test_hub) as site:
        browser = site.browser()
        assert "No system has been seen yet" in " ".join((await browser.get("/")).texts)
        assert "There are no memories here yet." in (await browser.get("/search")).texts
        assert "Nothing is in quarantine." in (await browser.get("/quarantine")).texts


async def test_every_page_to_whoever_may_see_everything(
    open_test_hub: Any, publisher: Any, serve_pages: Any
) -> None:
    async with open_test_hub() as test_hub, serve_pages(test_hub) as site:
        await _fill(test_hub, publisher)
        browser = site.browser()
        fleet, found = await browser.get("/"), await browser.get("/search", q="kafka")
        assert {"Fleet", "Systems", "Tiers", "Jobs"} <= set(fleet.texts)
        assert [row["state"] for row in fleet.options("rowData")] == ["quarantine", "ok"]
        assert HOSTILE in found.texts
        assert "Why this was found" in found.texts
        target = next(link for link in found.links if "c%3Dd" in link)
        memory = await browser.get(target)
        assert {HOSTILE, "History", "this memory", "kafka lag climbed"} <= set(memory.texts)
        assert (await browser.get("/quarantine")).button("Retry laptop-7/2")
        assert "rebuild" in (await browser.get("/jobs")).texts
        for page in (fleet, found, memory):
            headers = page.answer.headers
            assert page.answer.status_code == 200
            assert "frame-ancestors 'none'" in headers["content-security-policy"]
            assert headers["referrer-policy"] == "no-referrer"
            assert '<html lang="en-US"' in page.answer.text
            # Whatever a memory holds is nowhere in the page as markup or as script.
            assert "pwned()</script>" not in page.answer.text
            assert "<img src=x" not in page.answer.text
            assert "${pwned" not in page.answer.text
            assert "`x`" not in page.answer.text


async def test_other_paths_are_not_the_dashboards(open_test_hub: Any, serve_pages: Any) -> None:
    async with open_test_hub() as test_hub, serve_pages(test_hub) as site:
        http = site.browser().http
        assert (await http.get("/nowhere")).json()["code"] == "not_found"
        assert (await http.get("/healthz")).json() == {"status": "alive"}
        assert (await http.get("/_nicegui/nowhere")).status_code == 404


async def test_a_reader_sees_their_systems_and_no_panel_of_an_admin(
    open_test_hub: Any, publisher: Any, serve_pages: Any
) -> None:
    async with open_test_hub() as test_hub, serve_pages(test_hub) as site:
        await _fill(test_hub, publisher)
        token = _token(test_hub, role="reader", systems=("laptop-7",))
        assert (await site.browser().get("/")).answer.status_code == 303
        browser = site.browser(token)
        pages = [
            await browser.get("/"),
            await browser.get("/search"),
            await browser.get("/search", q="kafka"),
            await browser.get("/search", q="kafka", system="secret-9"),
            await browser.get("/memory", system="laptop-7", id="m1"),
            await browser.get("/memory", system="secret-9", id="s1"),
            await browser.get("/quarantine"),
            await browser.get("/jobs"),
        ]
        for page in pages:
            assert "kafka secret" not in page.texts
            assert not {"Tiers", "rebuild", "Run now", "Retry", "Drop"} & set(page.texts)
        shown = pages[0].answer.text
        assert "laptop-7" in shown
        assert "secret-9" not in shown
        absent = await browser.get("/memory", system="nobody", id="s1")
        assert absent.texts == pages[5].texts


async def test_a_click_does_what_it_says_and_not_for_a_reader(
    open_test_hub: Any, publisher: Any, serve_pages: Any
) -> None:
    async with open_test_hub() as test_hub, serve_pages(test_hub) as site:
        await _fill(test_hub, publisher)
        hub = test_hub.hub.core.operations
        browser = site.browser()
        page = await browser.get("/quarantine")
        async with browser.connected(page) as client:
            await browser.click(client, page, "Retry laptop-7/2")
            await _until(lambda: hub.quarantine_list()["quarantined"] == [])


async def test_a_page_answers_to_nobody_but_who_opened_it(
    open_test_hub: Any, publisher: Any, serve_pages: Any
) -> None:
    async with open_test_hub() as test_hub, serve_pages(test_hub) as site:
        await _fill(test_hub, publisher)
        hub = test_hub.hub.core.operations
        admin = site.browser(_token(test_hub, role="admin"))
        reader = site.browser(_token(test_hub, role="reader"))
        page = await admin.get("/quarantine")
        async with reader.connected(page) as client:
            await reader.click(client, page, "Retry laptop-7/2")
            async with asyncio.timeout(20):
                while "somebody else's" not in str(await client.receive()):
                    pass
        assert len(hub.quarantine_list()["quarantined"]) == 1


async def test_a_revoked_token_ends_the_page_at_its_next_event(
    open_test_hub: Any, publisher: Any, serve_pages: Any
) -> None:
    async with open_test_hub() as test_hub, serve_pages(test_hub) as site:
        await _fill(test_hub, publisher)
        core = test_hub.hub.core
        token, _ = _token(test_hub, role="admin"), _token(test_hub, role="reader")
        browser = site.browser(token)
        page = await browser.get("/quarantine")
        async with browser.connected(page) as client:
            core.tokens.revoke(token.split("_")[1], actor="test")
            await browser.click(client, page, "Retry laptop-7/2")
            await _until(lambda: not client.connected)
        assert len(core.operations.quarantine_list()["quarantined"]) == 1


async def test_odd_addresses_are_answered(
    open_test_hub: Any, publisher: Any, serve_pages: Any
) -> None:
    async with open_test_hub() as test_hub, serve_pages(test_hub) as site:
        await _fill(test_hub, publisher)
        browser = site.browser()
        for path, parameters in (
            ("/search", {"q": "kafka", "since": "never", "mode": "guess"}),
            ("/search", {"q": "kafka", "offset": "99999999"}),
            ("/search", {"cursor": "'"}),
            ("/search", {"q": "x" * 5000}),
            ("/memory", {"system": "laptop-7", "id": "m1", "start": "9", "end": "2"}),
            ("/memory", {}),
        ):
            assert (await browser.get(path, **parameters)).answer.status_code == 200


def test_a_hub_that_nobody_looks_at_does_not_load_nicegui() -> None:
    code = "import sys, recall_daemon.serve.dashboard.mount; print('nicegui' in sys.modules)"
    printed = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert printed.stdout.strip() == "False"
