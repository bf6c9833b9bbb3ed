"""Cold files are merged and rewritten; objects go only when nothing needs them."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from recall_daemon.store.cold_files import Usage
from recall_daemon.tiers import ageing
from recall_daemon.tiers.ageing import Told
from recall_daemon.tiers.compaction import TARGET_BYTES, TARGET_ROWS, plan
from recall_daemon.tiers.tiers import nothing_told
from recall_wire.errors import BucketUnreachable
from recall_wire.records import Record

TOLD: Told = nothing_told


def full(number: int, live: int = TARGET_ROWS) -> Usage:
    return Usage(number, TARGET_ROWS, 1_000_000, live)


def small(number: int, rows: int = 100) -> Usage:
    return Usage(number, rows, rows * 200, rows)


def test_small_files_are_merged_four_at_least() -> None:
    assert plan([small(n) for n in range(3)]) == []
    assert plan([small(1), full(2), small(3), small(4), small(5)]) == [[1, 3, 4, 5]]


def test_a_file_with_many_dead_rows_is_rewritten_alone() -> None:
    assert plan([full(1, live=int(TARGET_ROWS * 0.71))]) == []
    assert plan([full(1), full(2, live=int(TARGET_ROWS * 0.69))]) == [[2]]


def test_a_file_of_few_large_texts_is_not_small() -> None:
    assert plan([Usage(n, 50, TARGET_BYTES, 50) for n in range(9)]) == []


def test_a_new_file_is_never_larger_than_a_full_one() -> None:
    groups = plan([small(n, 1_000) for n in range(12)])
    assert groups == [[0, 1, 2, 3, 4], [5, 6, 7, 8, 9]]


@pytest.fixture
def many(world: Any, make_record: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """60 cold rows in six small files, not compacted yet."""
    world.merge([make_record(n) for n in range(60)])
    world.expected = world.texts()
    world.pass_days(100)
    monkeypatch.setattr(ageing, "BATCH_ROWS", 10)
    world.tiers.ageing.to_warm(TOLD)
    world.tiers.ageing.to_cold(TOLD)
    assert len(world.bucket.objects) == 6
    return world


def named(*keys: str) -> Any:
    return lambda: set(keys)


def in_use(world: Any) -> list[tuple[Any, ...]]:
    return list(world.sql("SELECT key FROM cold_files WHERE retired_at IS NULL"))


def test_small_files_become_one_and_the_old_ones_are_retired(many: Any) -> None:
    before = many.logical_hash()
    done = many.tiers.compaction.run(TOLD)
    assert (done.files, done.rows, done.damaged) == (6, 60, [])
    assert len(in_use(many)) == 1
    assert len(many.bucket.objects) == 7
    assert many.texts() == many.expected
    assert many.logical_hash() == before
    assert many.tiers.compaction.run(TOLD).files == 0


def test_dead_rows_are_left_behind(many: Any, make_record: Any) -> None:
    many.merge([Record(f"m{n}", op="delete") for n in range(25)])
    many.merge([make_record(30, text="updated")])
    done = many.tiers.compaction.run(TOLD)
    assert done.rows == 34
    [[key]] = in_use(many)
    assert many.sql("SELECT rows FROM cold_files WHERE key = ?", key) == [(34,)]
    expected = {m: t for m, t in many.expected.items() if int(m[1:]) >= 25}
    assert many.texts() == expected | {"m30": "updated"}
    many.logical_hash()


def test_a_file_that_no_row_needs_is_retired_without_being_read(many: Any) -> None:
    many.merge([Record(f"m{n}", op="delete") for n in range(60)])
    many.bucket.calls.clear()
    many.tiers.compaction.run(TOLD)
    assert in_use(many) == []
    assert many.bucket.calls == []


def test_a_damaged_file_is_told_and_left_alone(many: Any) -> None:
    [key] = many.sql("SELECT key FROM cold_files WHERE file_no = 2")[0]
    many.bucket.objects[key] = many.bucket.objects[key][:-1]
    done = many.tiers.compaction.run(TOLD)
    assert done.files == 5
    assert key in done.damaged[0]
    assert (key,) in in_use(many)
    assert len(many.missing()) == 0 or len(many.missing()) == 10


def test_rows_that_changed_while_a_file_was_rewritten_are_left_alone(
    many: Any, make_record: Any
) -> None:
    put = many.bucket.put

    def put_and_change(*arguments: Any, **options: Any) -> str:
        many.bucket.put = put
        many.merge([make_record(3, text="changed"), Record("m4", op="delete")])
        return str(put(*arguments, **options))

    many.bucket.put = put_and_change
    assert many.tiers.compaction.run(TOLD).rows == 58
    texts = dict(many.expected) | {"m3": "changed"}
    del texts["m4"]
    assert many.texts() == texts
    many.logical_hash()


def test_objects_go_after_a_day_unless_a_backup_names_them(many: Any) -> None:
    old = sorted(many.bucket.objects)
    many.tiers.compaction.run(TOLD)
    [new] = set(many.bucket.objects) - set(old)
    assert many.tiers.sweep.run(named()) == 0
    many.pass_days(1)
    assert many.tiers.sweep.run(named(old[0])) == 5
    assert sorted(many.bucket.objects) == sorted([old[0], new])
    assert many.tiers.sweep.run(named()) == 1
    assert sorted(many.bucket.objects) == [new]
    assert many.sql("SELECT count(*) FROM cold_files") == [(1,)]
    assert many.texts() == many.expected


def test_an_upload_that_was_never_registered_goes_after_a_day(many: Any) -> None:
    orphan = "hub/h1/cold/000000000099-0123456789abcdef.parquet"
    other = "hub/h2/cold/000000000001-0123456789abcdef.parquet"
    many.bucket.objects |= {orphan: b"x", other: b"x"}
    # The bucket in memory says that everything in it is of 2026-01-01.
    many.now -= timedelta(days=100)
    assert many.tiers.sweep.run(named()) == 0
    many.pass_days(100)
    assert many.tiers.sweep.run(named(orphan)) == 0
    assert many.tiers.sweep.run(named()) == 1
    assert orphan not in many.bucket.objects
    assert other in many.bucket.objects
    assert many.texts() == many.expected


def test_nothing_goes_while_it_is_not_known_what_backups_need(many: Any) -> None:
    many.tiers.compaction.run(TOLD)
    many.pass_days(2)

    def away() -> set[str]:
        raise BucketUnreachable("no answer")

    with pytest.raises(BucketUnreachable):
        many.tiers.sweep.run(away)
    assert len(many.bucket.objects) == 7


@pytest.mark.parametrize("step", ["compaction", "sweep"])
def test_a_run_that_ends_early_says_what_it_moved(
    many: Any, make_record: Any, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    many.merge([make_record(n) for n in range(100, 107)])
    many.pass_days(100)

    def away(*_: Any) -> None:
        raise BucketUnreachable("no answer")

    monkeypatch.setattr(getattr(many.tiers, step), "run", away)
    with pytest.raises(BucketUnreachable):
        many.tiers.age(named_by_backups=set)
    last = many.tiers.last_run()
    assert (last["at"], last["to_cold"]) == (many.now.isoformat(), 7)
    assert (last["problem"], last["compacted_files"]) == (
        "no answer",
        0 if step == "compaction" else 7,
    )


def test_forgetting_rewrites_files_whatever_their_share(many: Any) -> None:
    many.merge([Record("m7", op="forget")])
    numbers = [row[0] for row in many.sql("SELECT file_no FROM cold_files ORDER BY file_no")]
    done = many.tiers.compaction.rewrite([[number] for number in numbers], TOLD)
    assert done.rows == 59
    many.tiers.sweep.run(named(), timedelta(0))
    assert len(many.bucket.objects) == 6
    assert many.texts() == {m: t for m, t in many.expected.items() if m != "m7"}
