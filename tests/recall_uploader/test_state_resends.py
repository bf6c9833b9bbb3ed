"""What becomes of rows that the hub could not take, and that the state says so."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from recall_uploader.state import Change, Committed, Identity, State
from recall_uploader.state_resends import RESENDS_MAX

HASH = b"h" * 16
REFUSED = "no such column"


@pytest.fixture
def state() -> Iterator[State]:
    made = State.create(None, Identity("laptop", "machine", "instance"), Committed())
    yield made
    made.close()


def refuse_again_and_again(state: State, change: Change, first: int) -> list[int]:
    """Sent and refused until it is given up; the numbers of the snapshots."""
    seqs = list(range(first, first + RESENDS_MAX + 1))
    for seq in seqs:
        state.learn(seq, "s", [change])
        assert state.again(seq) == "next upload"  # nobody has acted upon it
        assert state.learn_quarantined(seq, REFUSED)
        assert state.again(seq) == ("no" if seq == seqs[-1] else "next upload")
    return seqs


def test_a_row_is_followed_until_it_is_given_up(state: State) -> None:
    seqs = refuse_again_and_again(state, Change("", "a", HASH), 1)
    assert [state.again(seq) for seq in seqs] == ["sent", "sent", "no"]


def test_a_row_that_was_given_up_and_changes_is_sent(state: State) -> None:
    last = refuse_again_and_again(state, Change("", "a", HASH), 1)[-1]
    state.learn(last + 1, "s", [Change("", "a", b"n" * 16)])
    assert state.again(last) == "sent"


def test_a_delete_that_is_given_up_is_said_to_be(state: State) -> None:
    state.learn(1, "s", [Change("", "a", HASH), Change("", "b", HASH)])
    seqs = refuse_again_and_again(state, Change("", "a", None), 2)
    assert state.row_count("s") == 1
    assert [state.again(seq) for seq in seqs] == ["sent", "sent", "no"]
    state.settle(seqs[-1])
    assert state.again(seqs[-1]) == "no"


def test_a_raw_database_is_followed_too(state: State) -> None:
    for seq in range(1, RESENDS_MAX + 2):
        state.learn(seq, "s", [], raw_sha256="digest")
        state.learn_quarantined(seq, REFUSED)
        assert state.again(seq) == ("no" if seq > RESENDS_MAX else "next upload")
    assert state.again(1) == "sent"


def test_a_quarantined_snapshot_is_learned_once_and_listed(state: State) -> None:
    state.learn(1, "s", [Change("", "a", HASH)])
    assert state.learn_quarantined(1, REFUSED)
    assert not state.learn_quarantined(1, "another word for it")
    state.learn_quarantined(7, "damaged")
    assert state.quarantined(0) == {1: REFUSED, 7: "damaged"}
    assert state.quarantined(1) == {7: "damaged"}
