"""The promotion job: ages and thresholds, nothing rewritten twice, nothing deleted."""

from __future__ import annotations

import pytest

from recall_daemon.agents.upkeep import promotion
from recall_daemon.agents.upkeep.promotion import Promotion
from recall_daemon.store import journal

from .shelf import DAY, Shelf, ran


def promote(shelf: Shelf) -> int:
    return ran(Promotion(shelf.store, now=shelf.now).run).done


def test_promotion_at_seven_days_from_an_effective_importance_of_four_tenths(shelf: Shelf) -> None:
    enough = 0.4 / 0.9**7 + 1e-6
    shelf.add("kept", importance=enough, days_ago=7)
    shelf.add("weak", importance=enough - 1e-3, days_ago=7)
    shelf.add("young", importance=1.0, days_ago=6.9)
    assert promote(shelf) == 1
    tiers = {name: shelf.life(name).memory_tier for name in ("kept", "weak", "young")}
    assert tiers == {"kept": "medium", "weak": "short", "young": "short"}


def test_promotion_at_thirty_days_from_an_effective_importance_of_two_tenths(shelf: Shelf) -> None:
    enough = 0.2 / 0.95**30 + 1e-6
    shelf.add("kept", tier="medium", importance=enough, days_ago=30)
    shelf.add("weak", tier="medium", importance=enough - 1e-2, days_ago=30)
    shelf.add("young", tier="medium", importance=1.0, days_ago=29.9)
    assert promote(shelf) == 1
    tiers = {name: shelf.life(name).memory_tier for name in ("kept", "weak", "young")}
    assert tiers == {"kept": "long", "weak": "medium", "young": "medium"}


def test_the_effective_importance_goes_on_from_where_it_was(shelf: Shelf) -> None:
    shelf.add("a", importance=0.9, days_ago=7)
    before = shelf.effective("a")
    promote(shelf)
    assert shelf.effective("a") == pytest.approx(before, abs=1e-6)
    shelf.later(days=1)
    assert shelf.effective("a") == pytest.approx(before * 0.95, abs=1e-6)


def test_running_it_again_changes_nothing(shelf: Shelf) -> None:
    shelf.add("a", importance=1.0, days_ago=8)
    assert promote(shelf) == 1
    with shelf.store.read() as connection:
        before = journal.last(connection)
    assert promote(shelf) == 0
    with shelf.store.read() as connection:
        assert journal.last(connection) == before


def test_what_is_below_the_threshold_stays_and_decays_on(shelf: Shelf) -> None:
    shelf.add("weak", importance=0.1, days_ago=400, pinned=True)
    assert promote(shelf) == 0
    assert shelf.effective("weak") == pytest.approx(0.1 * 0.9**400)
    assert shelf.query("SELECT state FROM memories") == [("live",)]


def test_batches_reach_every_memory(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(promotion, "BATCH", 2)
    for number in range(5):
        shelf.add(f"m{number}", importance=1.0, days_ago=8, system="ab"[number % 2])
    assert promote(shelf) == 5


def test_the_event_of_an_old_memory_that_came_lately_is_young(shelf: Shelf) -> None:
    shelf.add("late", importance=1.0)
    shelf.store.write(
        lambda connection: connection.execute(
            "UPDATE memories SET created_at = ?", [shelf.now() - 99 * DAY]
        ).fetchall()
    )
    assert promote(shelf) == 0
