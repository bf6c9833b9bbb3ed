"""One memory by its name, and lists: cold texts fetched, long ones cut, nothing out of reach."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from recall_daemon.errors import MemoryNotFound
from recall_daemon.index.filters import NO_FILTERS, Filters
from recall_daemon.memory import read
from recall_daemon.memory.read import Memories
from recall_daemon.search.query import QueryInvalid
from recall_daemon.search.reach import Reach
from recall_wire.records import Record


@pytest.fixture
async def cold(open_test_hub: Any, publisher: Any) -> AsyncIterator[Any]:
    """A hub with one cold memory, and one that was written since."""
    old = Record("old", text="the text of long ago", project="p", metadata='{"a":[1]}')
    publisher.publish("a", 1, [old])
    async with open_test_hub() as hub:
        await hub.once()
        hub.clock[0] += timedelta(days=100)
        hub.hub.core.tiers.age()
        publisher.publish("b", 1, [Record("new", text="new", project="q")])
        await hub.once()
        yield hub


async def test_a_cold_memory_is_shown_whole(cold: Any) -> None:
    memories: Memories = cold.hub.core.memories
    shown = memories.get("a", "old")
    assert (shown["tier"], shown["text"], shown["metadata"]) == (
        "cold",
        "the text of long ago",
        {"a": [1]},
    )
    assert shown["text_missing"] is None
    listed = memories.recent()["memories"]
    assert {one["memory_id"]: one["text"] for one in listed} == {
        "old": "the text of long ago",
        "new": "new",
    }
    assert not any(one["text_cut"] for one in listed)


async def test_where_its_text_is_away_it_is_shown_without(cold: Any, publisher: Any) -> None:
    shutil.rmtree(Path(publisher.root) / "hub")
    memories: Memories = cold.hub.core.memories
    shown = memories.get("a", "old")
    assert (shown["text"], shown["metadata"]) == (None, None)
    assert shown["text_missing"]
    listed = {one["memory_id"]: one for one in memories.recent()["memories"]}
    assert (listed["old"]["text"], listed["old"]["text_cut"]) == (None, False)
    assert listed["old"]["text_missing"] == shown["text_missing"]
    assert listed["new"]["text"] == "new"


async def test_a_list_cuts_long_texts_and_says_so(
    cold: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(read, "LIST_TEXT_CHARS", 8)
    monkeypatch.setattr(read, "_READ_CHARS", 9)
    memories: Memories = cold.hub.core.memories
    listed = {one["memory_id"]: one for one in memories.recent()["memories"]}
    assert (listed["old"]["text"], listed["old"]["text_cut"]) == ("the text", True)
    assert (listed["new"]["text"], listed["new"]["text_cut"]) == ("new", False)
    assert memories.get("a", "old")["text"] == "the text of long ago"


@pytest.mark.parametrize(
    "reach", [Reach(systems=frozenset({"b"})), Reach(projects=frozenset({"q"}))]
)
async def test_what_is_out_of_reach_is_not_there_and_not_fetched(cold: Any, reach: Reach) -> None:
    memories: Memories = cold.hub.core.memories
    said = []
    for name in ("old", "never-there"):
        with pytest.raises(MemoryNotFound) as refused:
            memories.get("a", name, reach)
        said.append(str(refused.value))
    assert said[0] == said[1]
    assert [one["memory_id"] for one in memories.recent(reach=reach)["memories"]] == ["new"]
    with pytest.raises(MemoryNotFound):
        memories.related("a", "old", reach=reach)


async def test_what_cannot_be_listed_is_refused(cold: Any) -> None:
    memories: Memories = cold.hub.core.memories
    for limit, cursor in ((0, None), (101, None), (1, "x"), (1, "é"), (1, "W10"), (1, "a" * 5_000)):
        with pytest.raises(QueryInvalid):
            memories.recent(NO_FILTERS, limit, cursor)


@pytest.mark.parametrize("few", [0, 5_000])
async def test_by_tag_everything_is_listed_at_once(
    open_test_hub: Any, monkeypatch: pytest.MonkeyPatch, few: int
) -> None:
    """Whether the index was asked or not, and whatever it has not seen yet."""
    monkeypatch.setattr(read, "_FEW_ROWS", few)

    def tagged(*ids: str, tags: tuple[str, ...]) -> list[Record]:
        return [Record(one, text=f"the text of {one}", tags=tags) for one in ids]

    async with open_test_hub() as hub:
        core = hub.hub.core
        posts = core.posts(lambda: None)

        def listed(**filters: tuple[str, ...]) -> set[str]:
            found = core.memories.recent(Filters(**filters))["memories"]
            return {one["memory_id"] for one in found}

        posts.store("a", tagged("m1", "m2", tags=("x", "y")), actor="t")
        posts.store("a", tagged("m3", tags=("y",)), actor="t")
        assert listed(tags=("x",)) == {"m1", "m2"}, "the index has followed nothing yet"
        core.follow()
        assert listed(tags=("x",)) == listed(every_tag=("x", "y")) == {"m1", "m2"}
        assert listed(tags=("nobody",)) == set()
        posts.store("a", tagged("m2", tags=("y",)), actor="t")
        posts.store("a", tagged("m4", tags=("x",)), actor="t")
        assert listed(tags=("x",)) == {"m1", "m4"}
        core.follow()
        assert listed(tags=("x",)) == {"m1", "m4"}
        assert listed(tags=("x",), systems=("b",)) == set()
