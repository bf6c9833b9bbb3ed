"""What each role sees of counts, lists, searches and readiness."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))  # access_table, door
from access_table import INSIDERS, OTHER, OUTSIDERS, OWN, Ask
from door import ROWS_SEEN, SAME, UNSEEN, Door


async def test_counts_and_lists_are_of_what_is_seen(door: Door) -> None:
    systems = {"instance": [OWN], "reader": [OWN], "project": [OWN, OTHER], "admin": [OWN, OTHER]}
    for role in INSIDERS:
        status = (await door.ask("GET", Ask("/v1/status"), role)).json
        assert status["rows"] == ROWS_SEEN[role], role
        assert status["backlog"] == 0
        assert [system["system_id"] for system in status["systems"]] == systems[role]
        listed = (await door.ask("GET", Ask("/v1/quarantine"), role)).json["quarantined"]
        assert {entry["system_id"] for entry in listed} == set(systems[role])
        # A reason quotes the data of all projects.
        in_status = [one for system in status["systems"] for one in system["quarantined"]]
        shown = (await door.ask("GET", Ask(f"/v1/quarantine/{OWN}/3"), role)).json
        reasons = [one["reason"] for one in (*listed, *in_status, shown)]
        assert [bool(one) for one in reasons] == [role != "project"] * len(reasons), role
        recent = (await door.ask("GET", Ask("/v1/memories?limit=100"), role)).json["memories"]
        assert len(recent) == ROWS_SEEN[role]


async def test_the_backlog_is_of_what_is_seen(door: Door, publisher: Any) -> None:
    """What waits for its vector elsewhere is not counted."""
    body = {"memories": [{"memory_id": f"w{n}", "text": f"waits {n}"} for n in range(5)]}
    await door.ask("POST", Ask("/v1/memories/batch", {"system": OTHER, **body}), "admin")
    told = {role: (await door.ask("GET", Ask("/v1/status"), role)).json for role in INSIDERS}
    assert {role: each["backlog"] for role, each in told.items()} == {
        **{"instance": 0, "reader": 0},
        **{"project": 0, "admin": 5},
    }


async def test_a_search_ranks_folds_explains_and_reads_around_within_reach(door: Door) -> None:
    for role in INSIDERS:
        body = {"query": SAME, "explain": True, "context": 10, "limit": 100}
        answer = await door.ask("POST", Ask("/v1/search", body), role)
        hits = answer.json["hits"]
        witnesses = {(each["system_id"], each["memory_id"]) for each in hits[0]["witnesses"]}
        both = {(OWN, f"{OWN}-red-same"), (OTHER, f"{OTHER}-red-same")}
        assert witnesses == (
            both if role in ("project", "admin") else both - {(OTHER, f"{OTHER}-red-same")}
        )
        assert hits[0]["witness_count"] == len(witnesses)
        assert not [mark for mark in UNSEEN[role] if mark in answer.text]
        quoted = {"query": 'tide "zanzibar"', "limit": 100}
        told = (await door.ask("POST", Ask("/v1/search", quoted), role)).json
        held = role in ("project", "admin")
        assert told["quotes_not_held"] == ([] if held else ["zanzibar"])


async def test_a_filter_cannot_reach_further(door: Door) -> None:
    for role, filters in (("reader", {"system": OTHER}), ("project", {"project": "blue"})):
        body = {"query": "tide", **filters}
        assert (await door.ask("POST", Ask("/v1/search", body), role)).json["hits"] == []


async def test_a_page_of_another_listing_is_ones_own(door: Door) -> None:
    """The same search, page by page, by one who sees more in between."""
    first = {"query": "tide", "limit": 5, "fold": False}
    await door.ask("POST", Ask("/v1/search", first), "admin")
    answer = await door.ask("POST", Ask("/v1/search", {**first, "offset": 5}), "reader")
    assert {hit["system_id"] for hit in answer.json["hits"]} == {OWN}


async def test_without_a_token_it_says_whether_it_is_ready_and_not_why(door: Door) -> None:
    for role in (*OUTSIDERS, *INSIDERS):
        state = (await door.ask("GET", Ask("/readyz"), role)).json
        assert ("parts" in state) is (role == "admin")
        assert state["ready"] is True
