"""Old versions go after a while; what anything still needs stays."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest

from recall_daemon.agents.upkeep import history
from recall_daemon.agents.upkeep.history import History

from .shelf import DAY, SYSTEM, Shelf, ran


def prune(shelf: Shelf) -> int:
    kept = History(shelf.store, lambda _: 0, kept=30 * DAY, now=shelf.now)
    return ran(kept.prune).done


def kept(shelf: Shelf) -> list[str]:
    """What the versions say that are there, the oldest first."""
    return [
        str(row[0])
        for row in shelf.query(
            "SELECT json_extract_string(record, '$.text') FROM memory_versions ORDER BY row_no"
        )
    ]


def written(shelf: Shelf, *texts: str, every: timedelta = DAY) -> None:
    for text in texts:
        shelf.add("a", text)
        shelf.later(seconds=every.total_seconds())


def test_versions_go_that_were_followed_by_others_long_ago(shelf: Shelf) -> None:
    written(shelf, "one", "two", "three")
    assert kept(shelf) == ["one", "two"]
    assert prune(shelf) == 0
    shelf.later(days=30)
    assert prune(shelf) == 2
    assert kept(shelf) == []
    assert shelf.query("SELECT text FROM memories") == [("three",)]
    assert prune(shelf) == 0


def test_a_version_that_was_followed_lately_stays_however_old_it_is(shelf: Shelf) -> None:
    shelf.add("a", "one")
    shelf.later(days=400)
    shelf.add("a", "two")
    assert prune(shelf) == 0
    assert kept(shelf) == ["one"]


def test_batches_reach_all(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(history, "VERSIONS", 1)
    written(shelf, "one", "two", "three")
    shelf.later(days=30)
    assert prune(shelf) == 2


def as_parent(version_id: str) -> str:
    return (
        "INSERT INTO memory_versions SELECT system_id, memory_id, 'child', ['" + version_id + "'], "
        "'edit', 'x', record, author, agent_id, priority, written_at, NULL, NULL, NULL, false, "
        "NULL FROM memory_versions WHERE version_id = '" + version_id + "'"
    )


def as_side_of_a_conflict(version_id: str) -> str:
    return (
        f"INSERT INTO conflicts VALUES ('c', '{SYSTEM}', 'a', NULL, '{version_id}', 'x', [], "
        "'open', 'latest_wins', NULL, NULL, false, now(), NULL, NULL)"
    )


def as_head(version_id: str) -> str:
    return f"UPDATE lives SET head = '{version_id}'"


def as_deleted(_: str) -> str:
    return "UPDATE lives SET deletion_id = 1"


@pytest.mark.parametrize("need", [as_parent, as_side_of_a_conflict, as_head, as_deleted])
def test_what_another_version_a_conflict_a_head_or_an_undo_needs_stays(
    shelf: Shelf, need: Callable[[str], str]
) -> None:
    written(shelf, "one", "two")
    shelf.later(days=30)
    [(version_id,)] = shelf.query("SELECT version_id FROM memory_versions")
    shelf.store.write(lambda c: c.execute(need(str(version_id))).fetchall())
    assert prune(shelf) == 0
    assert "one" in kept(shelf)
