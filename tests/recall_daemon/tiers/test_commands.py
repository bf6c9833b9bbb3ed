"""`recalld tiers`, `recalld age` and cold hits: a whole hub over a folder, by job and by route."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import httpx

from recall_wire.records import Record

DAYS_100 = timedelta(days=100)


async def aged(hub: Any, publisher: Any) -> str:
    """Forty memories, all of them cold by the job; returns the logical hash from before."""
    publisher.publish("a", 1, [Record(f"m{n}", text=f"the cold word{n} here") for n in range(40)])
    await hub.once()
    before: str = hub.verify()
    hub.clock[0] += DAYS_100
    run = await hub.hub.jobs.run("age")
    assert (run.state, run.detail) == ("done", "40 rows to warm, 40 to cold, 0 files rewritten")
    return before


async def test_the_job_ages_rows_and_search_finds_them_with_their_texts(
    open_test_hub: Any, publisher: Any
) -> None:
    async with open_test_hub() as hub:
        before = await aged(hub, publisher)
        assert hub.verify() == before
        assert hub.hub.core.operations.verify(sample=10)["problems"] == []
        answer = hub.hub.core.operations.search(_request("word7"))
        assert answer["hits"][0]["text"] == "the cold word7 here"
        assert answer["hits"][0]["tier"] == "cold"


async def test_a_hub_whose_cold_object_is_gone_says_so(open_test_hub: Any, publisher: Any) -> None:
    async with open_test_hub() as hub:
        await aged(hub, publisher)
        for path in publisher.root.rglob("cold/*.parquet"):
            path.unlink()
        hit = hub.hub.core.operations.search(_request("word7"))["hits"][0]
        assert hit["memory_id"] == "m7"
        assert hit["text"] is None
        problems = hub.hub.core.operations.verify(sample=3)["problems"]
        assert len(problems) == 1
        assert "missing" in problems[0]


async def test_the_routes_answer_as_the_commands_do(open_test_hub: Any, publisher: Any) -> None:
    async with open_test_hub() as hub:
        publisher.publish("a", 1, [Record("m1", text="one")])
        await hub.once()
        parts = hub.hub
        app = hub.app()
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://hub") as http:
            hub.clock[0] += DAYS_100
            assert (await http.get("/v1/tiers/due")).json() == {"to_warm": 1, "to_cold": 1}
            await parts.jobs.run("age")
            told = (await http.get("/v1/tiers")).json()
            assert told == parts.core.operations.tiers()
            assert [tier["rows"] for tier in told["tiers"]] == [0, 0, 1]
            assert (await http.get("/v1/verify", params={"sample": -1})).status_code == 422


def _request(query: str) -> Any:
    from recall_daemon.search.query import SearchRequest

    return SearchRequest(query)
