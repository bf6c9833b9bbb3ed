"""Consolidation: what may be together, what comes of it, and that it comes once."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from recall_daemon.agents.upkeep import consolidation, grouping
from recall_daemon.agents.upkeep.consolidation import TEXT_CHARS, Consolidation, derived_id
from recall_daemon.index.follower import Index
from recall_daemon.store import side_tables, vectors
from recall_daemon.store.forget import forget_rows, note_forgotten
from recall_daemon.store.memories import StoreFeed
from recall_daemon.store.vectors import Embedded
from recall_wire.records import text_hash

from .shelf import NOW, Shelf, ran

SPACE = "m@r:3"
NEAR, FAR = (1.0, 0.1, 0.0), (0.0, 0.0, 1.0)


class Mind:
    """A shelf whose texts are embedded as the test says."""

    def __init__(self, shelf: Shelf) -> None:
        self.shelf = shelf
        self.feed = StoreFeed(shelf.store, lambda: SPACE)
        self.index = Index(3)
        self.told = 0

    def add(self, memory_id: str, vector: Sequence[float] = NEAR, **fields: Any) -> None:
        said = fields.pop("text", f"The gate of {memory_id} is shut at night.")
        embedded = Embedded(
            str(text_hash(str(said))), [(0, len(str(said)))], np.array([vector], dtype=np.float32)
        )
        self.shelf.add(
            memory_id, str(said), also=lambda c: vectors.put(c, SPACE, [embedded]), **fields
        )

    def consolidate(self) -> int:
        job = Consolidation(
            self.shelf.store,
            self.index,
            follow=lambda: self.index.apply(self.feed),
            on_merged=self._merged,
            now=self.shelf.now,
        )
        return ran(job.run).done

    def _merged(self) -> None:
        self.told += 1

    def insights(self) -> list[tuple[object, ...]]:
        return self.shelf.query(
            "SELECT memory_id, text, tags, agent_id, user_id, importance, metadata, project "
            "FROM memories WHERE kind = 'insight' AND state = 'live' ORDER BY row_id"
        )


@pytest.fixture
def mind(shelf: Shelf) -> Mind:
    return Mind(shelf)


def test_three_related_short_memories_make_a_derived_one(mind: Mind) -> None:
    for name, importance in (("a", 0.2), ("b", 0.9), ("c", 0.4)):
        mind.add(name, agent_id="guard", user_id="u", importance=importance, days_ago=1)
    assert mind.consolidate() == mind.told == 1
    [(memory_id, text, _, agent, user, effective, metadata, _)] = mind.insights()
    names = ["agents/a", "agents/b", "agents/c"]
    assert memory_id == derived_id(names)
    assert json.loads(str(metadata)) == {"derived_from": names}
    assert (agent, user) == ("guard", "u")
    assert effective == pytest.approx(0.9 * 0.9)
    assert all(f"The gate of {name} is shut at night." in str(text) for name in "abc")
    life = mind.shelf.life(str(memory_id))
    assert (life.memory_tier, life.anchored_at) == ("medium", NOW)
    assert life.anchor_importance == pytest.approx(0.81)


def test_the_originals_stay_and_are_named_by_relations(mind: Mind) -> None:
    for name in "abc":
        mind.add(name)
    mind.consolidate()
    [(insight, *_)] = mind.insights()
    assert mind.shelf.query(
        "SELECT from_id, to_id, type FROM relationships ORDER BY relationship_id"
    ) == [(insight, name, "derived_from") for name in "abc"]
    assert mind.shelf.query(
        "SELECT memory_id, memory_tier FROM lives JOIN memories USING (system_id, memory_id) "
        "WHERE state = 'live' AND memory_tier = 'short' ORDER BY ALL"
    ) == [(name, "short") for name in "abc"]


def test_running_it_again_makes_nothing_twice(mind: Mind) -> None:
    for name in "abc":
        mind.add(name)
    assert [mind.consolidate() for _ in range(3)] == [1, 0, 0]
    mind.add("d")
    assert mind.consolidate() == 0  # the others are consolidated already
    for name in "ef":
        mind.add(name)
    assert mind.consolidate() == 1


def test_two_are_too_few_and_the_eleventh_is_left(mind: Mind) -> None:
    for name in "ab":
        mind.add(name)
    mind.add("x", FAR)
    assert mind.consolidate() == 0
    for number in range(9):
        mind.add(f"c{number}")
    assert mind.consolidate() == 1
    assert len(mind.shelf.query("FROM relationships")) == 10


@pytest.mark.parametrize(
    "other",
    [
        {"agent_id": "other"},
        {"user_id": "other"},
        {"tags": ("category:secret",)},
        {"project": "other"},
        {"namespace": "other"},
        {"system": "other"},
        {"tier": "medium"},
        {"tier": None},
    ],
    ids=str,
)
def test_what_one_may_see_and_another_not_is_never_mixed(mind: Mind, other: dict[str, Any]) -> None:
    own: dict[str, Any] = {"agent_id": "guard", "user_id": "u", "tags": ("category:gates",)}
    mind.add("a", **own)
    mind.add("b", **own)
    mind.add("c", **own | other)
    assert mind.consolidate() == 0
    mind.add("d", **own)
    assert mind.consolidate() == 1
    [(insight, _, tags, agent, user, *_)] = mind.insights()
    assert (tags, agent, user) == (["category:gates"], "guard", "u")
    sources = {row[0] for row in mind.shelf.query("SELECT to_id FROM relationships")}
    assert sources == {"a", "b", "d"}
    assert insight


def test_it_has_those_tags_alone_that_all_members_have(mind: Mind) -> None:
    for name in "abc":
        mind.add(name, tags=("category:gates", "type:note", "night", name))
    mind.consolidate()
    assert mind.insights()[0][2] == ["category:gates", "type:note", "night"]


def test_a_derived_memory_that_was_forgotten_does_not_come_back(mind: Mind) -> None:
    for name in "abc":
        mind.add(name)
    mind.consolidate()
    [(insight, *_)] = mind.insights()

    def forget(connection: object) -> None:
        names = [("agents", str(insight))]
        for entry_no, part in note_forgotten(connection, names, NOW):  # type: ignore[arg-type]
            forget_rows(connection, part, entry_no, NOW)  # type: ignore[arg-type]
        keys = [{"relationship_id": number} for number in range(1, 4)]
        side_tables.remove(connection, "relationships", keys, NOW)  # type: ignore[arg-type]

    mind.shelf.store.write(forget)
    assert mind.consolidate() == 0
    assert mind.insights() == []


def test_a_memory_that_changed_meanwhile_is_looked_at_anew(mind: Mind) -> None:
    for name in "abc":
        mind.add(name)
    job = Consolidation(
        mind.shelf.store, mind.index, follow=lambda: None, on_merged=lambda: None, now=lambda: NOW
    )
    mind.index.apply(mind.feed)
    mind.add("c", FAR, text="Now it says something else.")
    assert ran(job.run).done == 0
    assert mind.consolidate() == 0


def test_a_memory_that_changes_while_it_is_grouped_is_not_consolidated(
    mind: Mind, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in "abc":
        mind.add(name)
    groups = grouping.groups

    def and_change(vectors: Any) -> Any:
        mind.add("c", FAR, text="Now it says something else.")
        return groups(vectors)

    monkeypatch.setattr(grouping, "groups", and_change)
    assert mind.consolidate() == 0
    assert mind.insights() == []


def test_windows_reach_memories_far_apart(mind: Mind, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(consolidation, "WINDOW", 8)
    for number in range(20):
        mind.add(f"m{number:02}", NEAR if number in (1, 4, 7) else np.eye(3)[2 - number % 2])
    made = mind.consolidate()
    sources = mind.shelf.query(
        "SELECT from_id, list(to_id ORDER BY to_id) FROM relationships GROUP BY 1"
    )
    assert ["m01", "m04", "m07"] in [row[1] for row in sources]
    assert made == len(sources) > 2


def test_the_text_is_an_extract_of_bounded_length(mind: Mind) -> None:
    for name in "abc":
        mind.add(
            name,
            text=f"{name} begins. " + "The gate is shut at night. " * 9 + f"{name} ends. " * 90,
        )
    mind.consolidate()
    text = str(mind.insights()[0][1])
    assert len(text) <= TEXT_CHARS
    assert text.count("The gate is shut at night.") == 1
