"""The state file itself: versions, damage, and what its transactions promise."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from recall_uploader.errors import StateBusy, StateNewer, StateUnwritable
from recall_uploader.run import read_state
from recall_uploader.state import STALE_HASH, Change, Committed, Identity, State

IDENTITY = Identity("laptop", "machine", "instance")
HASH = b"h" * 16


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state.sqlite"


@pytest.fixture
def state(path: Path) -> Iterator[State]:
    made = State.create(path, IDENTITY, Committed())
    yield made
    made.close()


def test_what_was_learned_is_there_after_reopening(path: Path, state: State) -> None:
    state.learn(1, "s", [Change("", "a", HASH), Change("", "b", HASH)])
    state.commit(Committed(1, "f" * 64))
    state.close()

    again = State.open(path)
    assert (again.identity, again.next_seq) == (IDENTITY, 2)
    assert (again.committed, again.row_count("s")) == (Committed(1, "f" * 64), 2)
    again.close()


def test_a_transaction_that_dies_leaves_nothing(state: State) -> None:
    def changes() -> Iterator[Change]:
        yield Change("", "a", HASH)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        state.learn(1, "s", changes())
    assert (state.next_seq, state.row_count("s")) == (1, 0)


def test_a_newer_state_is_refused_and_left_alone(path: Path, state: State) -> None:
    state.connection.execute("PRAGMA user_version = 99")
    state.close()
    before = path.read_bytes()

    with pytest.raises(StateNewer, match=r"newer version of recall .*upgrade"):
        read_state(path)
    assert path.read_bytes() == before


def test_a_state_that_somebody_else_writes_is_busy_not_damaged(path: Path, state: State) -> None:
    other = sqlite3.connect(path, isolation_level=None, timeout=0)
    other.execute("BEGIN EXCLUSIVE")

    with pytest.raises(StateBusy):
        read_state(path)
    other.close()


def test_a_database_of_another_kind_counts_as_damaged(path: Path) -> None:
    other = sqlite3.connect(path)
    other.execute("CREATE TABLE t (a)")
    other.close()

    found, warnings = read_state(path)

    assert found is None
    assert "damaged" in warnings[0]


def test_a_forgotten_row_whose_delete_is_quarantined_stays_forgotten(state: State) -> None:
    state.learn(1, "s", [Change("", "a", HASH)])
    state.learn(2, "s", [Change("", "a", None)])
    state.learn_forgotten(3, ["a"])

    assert state.learn_quarantined(2, "cannot be read")
    assert state.row_count("s") == 0


def test_unlearned_rows_are_stale_and_later_ones_are_not(state: State) -> None:
    state.learn(1, "s", [Change("", "a", HASH), Change("", "b", HASH)])
    state.learn(2, "s", [Change("", "b", HASH)])

    state.unlearn(1)

    rows = dict(state.connection.execute("SELECT memory_id, hash FROM rows").fetchall())
    assert rows == {"a": STALE_HASH, "b": HASH}


def test_a_full_disk_is_one_sentence_and_leaves_what_was(state: State) -> None:
    state.learn(1, "s", [Change("", "a", HASH)])
    pages = state.connection.execute("PRAGMA page_count").fetchone()[0]
    state.connection.execute(f"PRAGMA max_page_count = {pages}")
    many = [Change("", f"m{number}", HASH) for number in range(1_000)]

    with pytest.raises(StateUnwritable, match="disk is full; see to the disk"):
        state.learn(2, "s", many)
    assert (state.next_seq, state.row_count("s")) == (2, 1)

    state.connection.execute("PRAGMA max_page_count = 10000")
    state.learn(2, "s", many)
    assert state.row_count("s") == 1_001


def test_a_lock_that_stays_is_one_sentence(path: Path, state: State) -> None:
    state.connection.execute("PRAGMA busy_timeout = 0")
    other = sqlite3.connect(path, isolation_level=None, timeout=0)
    other.execute("BEGIN IMMEDIATE")

    with pytest.raises(StateUnwritable, match="locked"):
        state.commit(Committed(1, "f" * 64))
    other.close()
    state.commit(Committed(1, "f" * 64))
    assert state.committed.seq == 1


def test_what_is_no_trouble_of_the_disk_stays_what_it_is(state: State) -> None:
    state.connection.execute("DROP TABLE sources")

    with pytest.raises(sqlite3.OperationalError, match="no such table"):
        state.complete("s")
