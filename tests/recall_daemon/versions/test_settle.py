"""What is served of a set of versions, against a model of one value and one time for each field."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recall_daemon.agents.config import Strategy
from recall_daemon.store.versions import arrived_version, edit_version
from recall_daemon.versions.graph import Graph, Version
from recall_daemon.versions.settle import Settled, settle
from recall_wire.records import Record

START = datetime(2026, 1, 2, tzinfo=UTC)
BASE = Record("m", text="One. Two. Three.", importance=0.5, metadata="{}", created_at=START)


def minute(number: int) -> datetime:
    return START + timedelta(minutes=number)


def home(record: Record = BASE, rank: int = 1, at: int = 0) -> Version:
    return replace(
        arrived_version("s", record, (rank, 0, 0), priority=0, now=minute(at)),
        written_at=minute(at),
    )


def edit(base: Version, at: int, *, priority: int = 0, **changes: Any) -> Version:
    assert base.record is not None
    return edit_version(
        replace(base.record, updated_at=minute(at), **changes),
        [base.version_id],
        author="x",
        agent_id=None,
        priority=priority,
        written_at=minute(at),
    )


def settled(versions: Sequence[Version], strategy: Strategy = "latest_wins") -> Settled:
    told = settle(Graph(versions), lambda _: strategy)
    assert settle(Graph(reversed(versions)), lambda _: strategy) == told
    assert settle(Graph([*versions, *told.made]), lambda _: strategy).head == told.head
    return told


def said(told: Settled) -> Record:
    assert told.head is not None
    assert told.head.record is not None
    return told.head.record


def test_equal_to_the_head_advances() -> None:
    first = home()
    second = edit(first, 1, text="Two.")
    assert settled([first, second]) == Settled(second)


def test_disjoint_fields_are_merged() -> None:
    first = home()
    told = settled([first, edit(first, 1, text="New."), edit(first, 2, importance=0.75)])
    assert (said(told).text, said(told).importance) == ("New.", 0.75)
    assert told.clashes == ()


@pytest.mark.parametrize(
    ("strategy", "text"),
    [
        ("latest_wins", "Later."),
        ("highest_importance", "Earlier."),
        ("agent_priority", "Earlier."),
        ("manual_review", "Earlier."),
    ],
)
def test_each_strategy_has_its_winner_and_keeps_both(strategy: Strategy, text: str) -> None:
    first = home()
    one = edit(first, 1, text="Earlier.", importance=0.75, priority=3)
    other = edit(first, 2, text="Later.", priority=1)
    told = settled([first, one, other], strategy)
    assert (said(told).text, said(told).importance) == (text, 0.75)
    [clash] = told.clashes
    assert {clash.ours, clash.theirs} == {one, other}
    assert clash.fields == ("text",)
    assert (clash.resolution is None) == (strategy == "manual_review")


def test_merge_content_merges_by_sentence_and_leaves_overlapping_edits_to_a_person() -> None:
    first = home()
    one, other = edit(first, 1, text="1. Two. Three."), edit(first, 2, text="One. Two. 3.")
    assert said(settled([first, one, other], "merge_content")).text == "1. Two. 3."
    third = edit(first, 3, text="Uno. Two. Three.")
    told = settled([first, one, third], "merge_content")
    assert said(told).text == "1. Two. Three."
    assert told.clashes[0].resolution is None


@pytest.mark.parametrize(
    ("strategy", "changes"),
    [
        ("latest_wins", [{"at": 1, "priority": 3}, {"at": 1, "priority": 1}]),
        ("highest_importance", [{"at": 1, "priority": 3}, {"at": 2, "priority": 1}]),
        ("agent_priority", [{"at": 2, "priority": 1}, {"at": 1, "priority": 1}]),
    ],
)
def test_ties_are_settled_by_priority_then_time(
    strategy: Strategy, changes: list[dict[str, int]]
) -> None:
    first = home()
    winner = edit(first, text="Wins.", **changes[0])
    loser = edit(first, text="Loses.", **changes[1])
    assert said(settled([first, winner, loser], strategy)).text == "Wins."


def test_ties_of_everything_are_settled_by_id() -> None:
    first = home()
    one, other = edit(first, 1, text="A."), edit(first, 1, text="B.")
    winner = max((one, other), key=lambda version: version.version_id)
    assert said(settled([first, one, other])) == winner.record


def test_what_the_system_itself_says_is_an_edit_of_what_it_said_before() -> None:
    first = home()
    foreign = edit(first, 1, importance=0.75)
    later = home(replace(BASE, text="New."), rank=2, at=2)
    told = settled([first, foreign, later])
    assert (said(told).text, said(told).importance) == ("New.", 0.75)


def test_an_edit_of_a_version_that_lost_does_not_bring_it_back() -> None:
    first = home()
    one, other = edit(first, 1, text="Loses."), edit(first, 2, text="Wins.")
    late = edit(one, 3, importance=0.75)
    told = settled([first, one, other, late])
    assert (said(told).text, said(told).importance) == ("Wins.", 0.75)


def test_a_delete_by_its_own_system_wins() -> None:
    first = home()
    gone = arrived_version("s", Record("m", op="delete"), (2, 0, 0), priority=0, now=minute(1))
    assert settled([first, gone, edit(first, 2, text="Too late.")]).head is None
    back = home(replace(BASE, text="Back."), rank=3, at=3)
    assert said(settled([first, gone, back])).text == "Back."


def test_a_second_conflict_of_one_branch_takes_the_place_of_the_first() -> None:
    first = home()
    one, other = edit(first, 1, text="Ours."), edit(first, 2, text="Theirs.")
    onward, theirs = edit(one, 3, text="Ours again."), edit(other, 4, text="Theirs again.")
    told = settled([first, one, other, onward, theirs], "manual_review")
    assert said(told).text == "Ours again."
    assert [clash.theirs for clash in told.clashes] == [theirs]


def test_a_decision_stands_whatever_comes_late() -> None:
    """An edit of before is found after somebody decided against the default: it is merged."""
    first = home()
    one, other = edit(first, 1, text="Ours.", priority=5), edit(first, 3, text="Theirs.")
    decision = decided_for(other, one)
    for late in (edit(first, 2, importance=0.75), edit(first, 2, tags=("x",), priority=9)):
        for without in ([], [late]):
            told = settled([first, one, other, decision, *without], "agent_priority")
            assert said(told).text == "Theirs."
        assert (said(told).importance, said(told).tags) == (
            late.record and late.record.importance,
            late.record and late.record.tags,
        )
        assert all(clash.resolution is not None for clash in told.clashes)


def test_an_edit_that_comes_late_meets_the_decision_where_they_differ() -> None:
    first = home()
    one, other = edit(first, 1, text="Ours.", priority=5), edit(first, 3, text="Theirs.")
    late = edit(first, 2, text="Late.", priority=9)
    told = settled([first, one, other, decided_for(other, one), late], "agent_priority")
    assert said(told).text == "Late."
    assert {clash.theirs.kind for clash in told.clashes} >= {"resolution"}


def test_what_grew_from_a_side_in_question_is_in_question() -> None:
    first = home()
    one, other = edit(first, 1, text="Ours."), edit(first, 2, text="Theirs.")
    decision = decided_for(other, one)
    undone = replace(decision, withdrawn=True, cut=other.version_id)
    onward = edit(other, 4, text="Theirs again.")
    told = settled([first, one, other, undone, onward], "latest_wins")
    assert said(told).text == "Ours."
    assert [(clash.theirs, clash.resolution) for clash in told.clashes] == [(onward, None)]


def decided_for(winner: Version, loser: Version) -> Version:
    """Somebody's decision, at minute 5."""
    assert winner.record is not None
    parents = [winner.version_id, loser.version_id]
    made = edit_version(
        winner.record, parents, author="x", agent_id=None, priority=0, written_at=minute(5)
    )
    return replace(made, kind="resolution")


@dataclass(frozen=True)
class Write:
    """An edit of an earlier version, by its number; -1: of what its system said first."""

    base: int
    text: str | None
    importance: float | None


writes = st.lists(
    st.builds(
        Write,
        base=st.integers(-1, 6),
        text=st.sampled_from([None, "a", "b", "c"]),
        importance=st.sampled_from([None, 0.25, 0.75]),
    ),
    min_size=1,
    max_size=7,
)


@given(writes, st.randoms(use_true_random=False))
def test_latest_wins_is_the_latest_change_of_each_field(wanted: list[Write], random: Any) -> None:
    """The model: each field has the value of the last write that changed it."""
    first = home()
    versions = [first]
    latest: dict[str, Any] = {"text": BASE.text, "importance": BASE.importance}
    for number, write in enumerate(wanted, 1):
        base = versions[min(write.base + 1, len(versions) - 1)]
        assert base.record is not None
        changes = {"text": write.text, "importance": write.importance}
        changes = {name: value for name, value in changes.items() if value is not None}
        latest |= {n: v for n, v in changes.items() if getattr(base.record, n) != v}
        made = edit(base, number, **changes)
        if made.version_id not in {one.version_id for one in versions}:
            versions.append(made)
    random.shuffle(versions)
    told = said(settled(versions))
    assert {"text": told.text, "importance": told.importance} == latest
