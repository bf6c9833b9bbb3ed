"""Any one call to the bucket may fail, before it worked or after: nothing is lost or doubled."""

from __future__ import annotations

import os
from datetime import timedelta
from typing import Any

import pytest

from recall_daemon.tiers import ageing
from recall_daemon.tiers import cold_store as cold_store_module
from recall_wire.buckets import multipart
from recall_wire.errors import TransientError
from recall_wire.records import Record

# Of the calls; of those whose answer is lost, others than of those that are not made.
EVERY = 1 if "RECALLD_TEST_SOAK" in os.environ else 6


def upload_once(*arguments: Any, **options: Any) -> str:
    """Without tries of its own, so that the failure reaches ageing."""
    return multipart.upload_file(*arguments, **(options | {"tries": 1}))


@pytest.fixture(autouse=True)
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ageing, "BATCH_ROWS", 10)
    monkeypatch.setattr(cold_store_module, "upload_file", upload_once)


def life(world: Any, make_record: Any, fail_at: int, *, lost: bool) -> int:
    """Ageing, updates, compaction and sweep, the Nth call failing; returns the calls made."""
    world.bucket.fail_at = fail_at
    world.bucket.answer_lost = lost
    world.merge([make_record(n) for n in range(50)])
    world.pass_days(100)
    until_done(world)
    world.merge([Record(f"m{n}", op="delete") for n in range(0, 50, 7)])
    world.merge([make_record(n, text=f"changed {n}") for n in range(3)])
    until_done(world)
    world.pass_days(2)
    until_done(world)
    return len(world.bucket.calls)


def until_done(world: Any) -> None:
    """A run that fails is begun anew at its next time, which is all that ever mends it."""
    try:
        world.tiers.age(named_by_backups=set)
    except TransientError:
        assert world.logical_hash()
        world.tiers.age(named_by_backups=set)


def ended(world: Any) -> tuple[Any, ...]:
    world.tiers.texts.clear_cache()
    registered = {row[0] for row in world.sql("SELECT key FROM cold_files")}
    assert registered <= set(world.bucket.objects)
    return world.logical_hash(), world.texts(), world.tier_of()


@pytest.mark.parametrize("lost", [False, True])
def test_any_call_may_fail(make_world: Any, make_record: Any, lost: bool) -> None:
    from fake_bucket import FakeBucket

    calm = make_world(FakeBucket(), "calm")
    calls = life(calm, make_record, 0, lost=False)
    expected = ended(calm)
    assert calls > 25
    for number in range(1 + lost % EVERY, calls + 1, EVERY):
        world = make_world(FakeBucket(), str(number))
        life(world, make_record, number, lost=lost)
        world.bucket.fail_at = 0
        assert ended(world) == expected, number
        assert only_orphans_are_left(world), number
        world.close()


def only_orphans_are_left(world: Any) -> bool:
    """What a failed upload left goes with the next sweep."""
    world.pass_days(2)
    world.tiers.sweep.run(set, timedelta(0))
    registered = {row[0] for row in world.sql("SELECT key FROM cold_files")}
    return registered == set(world.bucket.objects)
