"""Cold texts come back whole, or not at all with the reason; never another text."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from typing import Any

import pytest

from recall_daemon.store import cold_files
from recall_daemon.tiers import groups as groups_module
from recall_daemon.tiers.cold_store import ColdStore
from recall_wire.errors import BucketUnreachable, TransientError
from recall_wire.records import Record

Change = Callable[[bytes], bytes]


@pytest.fixture
def cold(world: Any, make_record: Any) -> Any:
    """500 cold rows in one file."""
    world.merge([make_record(n) for n in range(500)])
    world.expected = world.texts()
    world.pass_days(100)
    world.tiers.age()
    assert set(world.tier_of().values()) == {"cold"}
    world.bucket.calls.clear()
    return world


def cold_key(world: Any) -> str:
    [(key,)] = world.sql("SELECT key FROM cold_files WHERE retired_at IS NULL")
    return str(key)


def test_texts_come_back_and_stay_in_the_cache(cold: Any) -> None:
    rows = cold.read()
    assert {m: row.text for m, row in rows.items()} == cold.expected
    asked = len(cold.bucket.calls)
    assert asked > 0
    assert cold.texts() == cold.expected
    assert len(cold.bucket.calls) == asked


def test_the_cache_survives_a_restart(cold: Any) -> None:
    assert cold.texts() == cold.expected
    cold.bucket.calls.clear()
    cold.reopen()
    assert cold.texts() == cold.expected
    assert cold.bucket.calls == []


def test_one_text_costs_one_small_range(cold: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    get_range = cold.bucket.get_range
    monkeypatch.setattr(
        cold.bucket,
        "get_range",
        lambda key, start, length: (asked.append(length), get_range(key, start, length))[1],
    )
    row = cold.all_rows()["m250"]
    found = cold.tiers.texts.with_texts({row.row_id: row})
    assert found[row.row_id].text == cold.expected["m250"]
    assert len(asked) == 1
    assert asked[0] < len(cold.bucket.objects[cold_key(cold)]) / 3


def test_the_cache_stays_within_its_bytes(make_world: Any, make_record: Any) -> None:
    world = make_world(cold_cache_bytes=3_000)
    world.merge([make_record(n) for n in range(500)])
    expected = world.texts()
    world.pass_days(100)
    world.tiers.age()
    assert world.texts() == expected
    folder = world.folder / "hub" / "cache" / "cold"
    assert 0 < sum(path.stat().st_size for path in folder.iterdir()) <= 3_000


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda data: data[:100], "cut short"),
        (lambda data: bytes(len(data)), "damaged"),
        (lambda data: data[:50] + data[51:] + b"x", "damaged"),
    ],
)
def test_a_damaged_file_gives_no_text_and_says_so(cold: Any, change: Change, words: str) -> None:
    key = cold_key(cold)
    cold.bucket.objects[key] = change(cold.bucket.objects[key])
    missing = cold.missing()
    assert len(missing) == 500
    assert all(words in sentence and key in sentence for sentence in missing.values())
    assert set(cold.texts().values()) == {None}
    assert words in cold.tiers.sample_problems(3)[0]


def test_a_missing_file_gives_no_text_and_says_so(cold: Any) -> None:
    del cold.bucket.objects[cold_key(cold)]
    assert all("missing" in sentence for sentence in cold.missing().values())
    assert len(cold.missing()) == 500
    assert cold.tiers.sample_problems(500)[0].startswith("500 cold rows")


def test_a_swapped_file_never_gives_another_text(cold: Any, make_record: Any) -> None:
    first = cold_key(cold)
    cold.merge([make_record(n, text=f"other {n} " * 9) for n in range(1_000, 1_500)])
    cold.pass_days(100)
    cold.tiers.age()
    [second] = set(cold.bucket.objects) - {first}
    objects = cold.bucket.objects
    objects[first], objects[second] = objects[second], objects[first]
    assert set(cold.texts().values()) == {None}
    assert len(cold.missing()) == 1_000


def test_a_row_that_points_to_the_wrong_place_gives_no_text(cold: Any) -> None:
    cold.store.write(
        lambda c: c.execute("UPDATE memories SET cold_row = 499 - cold_row").fetchall()
    )
    assert set(cold.texts().values()) == {None}
    assert all("changed" in sentence for sentence in cold.missing().values())


def test_a_bucket_that_is_away_gives_the_hit_without_its_text(cold: Any) -> None:
    cold.bucket.fail_at = 1
    cold.bucket.error = BucketUnreachable("nothing answers at its address")
    assert all("nothing answers" in sentence for sentence in cold.missing().values())
    # It is left alone for a while, and then asked again.
    asked = len(cold.bucket.calls)
    assert len(cold.missing()) == 500
    assert len(cold.bucket.calls) == asked
    cold.tiers.groups._away_until = 0.0
    assert cold.texts() == cold.expected


def test_a_bucket_that_hangs_is_waited_for_no_longer_than_allowed(
    make_world: Any, make_record: Any
) -> None:
    world = make_world(cold_fetch_timeout_s=0.05)
    world.merge([make_record(1)])
    world.pass_days(100)
    world.tiers.age()
    gate = threading.Event()
    get_range = world.bucket.get_range

    def hang(*arguments: Any) -> bytes:
        gate.wait(60)
        return bytes(get_range(*arguments))

    world.bucket.get_range = hang
    try:
        assert "within 0.05 s" in world.missing()["m1"]
    finally:
        gate.set()


def test_whole_files_are_read_for_the_index(cold: Any) -> None:
    by_id = {row.row_id: cold.expected[m] for m, row in cold.all_rows().items()}
    assert cold.tiers.texts.cold_texts([*by_id, 10**9]) == by_id
    assert len(cold.bucket.calls) <= 2
    cold.tiers.texts.clear_cache()
    cold.bucket.fail_at = len(cold.bucket.calls) + 1
    with pytest.raises(TransientError):
        cold.tiers.texts.cold_texts(list(by_id))


def test_whole_files_do_not_drive_out_what_searches_have_read(cold: Any) -> None:
    one = cold.all_rows()["m9"]
    cold.tiers.texts.with_texts({one.row_id: one})
    before, asked = cold.tiers.report()["cold"]["cache"], len(cold.bucket.calls)
    assert len(cold.tiers.texts.cold_texts([row.row_id for row in cold.all_rows().values()])) == 500
    assert cold.tiers.sample_problems(500) == []
    assert len(cold.bucket.calls) > asked
    assert cold.tiers.report()["cold"]["cache"] == before


def test_near_ranges_are_one_request_and_far_ones_are_not(
    cold: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert cold.texts() == cold.expected
    assert len(cold.bucket.calls) == 1
    cold.tiers.texts.clear_cache()
    monkeypatch.setattr(groups_module, "GAP_BYTES", -1)
    assert cold.texts() == cold.expected
    assert len(cold.bucket.calls) == 1 + 4


def test_a_file_that_is_dropped_while_it_is_read_costs_its_texts_alone(
    cold: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a forget with `rewrite` drops it; a hit says so, a search goes on."""
    locate = cold.tiers.groups.locate

    def and_drop(places: Any) -> Any:
        located = locate(places)
        [(file_no, key)] = cold.sql("SELECT file_no, key FROM cold_files")
        cold.bucket.delete(key)
        cold.store.write(lambda c: cold_files.remove(c, file_no))
        cold.tiers.groups._layouts.clear()
        return located

    monkeypatch.setattr(cold.tiers.groups, "locate", and_drop)
    missing = cold.missing()
    assert len(missing) == 500
    assert "is missing or cut short" in missing["m9"]


def test_each_footer_of_a_page_is_read_once_however_many_files_it_needs(
    cold: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("one", "two"):
        cold.merge([Record(name, text=name)])
        cold.pass_days(100)
        cold.tiers.age()
    monkeypatch.setattr(groups_module, "LAYOUTS", 1)
    parsed: list[int] = []
    layout_of = groups_module.cold_object.layout_of

    def counted(size: int, footer: bytes) -> Any:
        parsed.append(size)
        return layout_of(size, footer)

    monkeypatch.setattr(groups_module.cold_object, "layout_of", counted)
    assert all(cold.texts().values())
    assert len(parsed) == 3


def test_the_bucket_is_opened_once_however_many_threads_need_it(store: Any, tmp_path: Any) -> None:
    both = threading.Barrier(2)
    opened: list[object] = []

    def slow() -> Any:
        opened.append(object())
        with contextlib.suppress(threading.BrokenBarrierError):
            both.wait(timeout=0.5)  # the other one would open it now
        return opened[-1]

    cold = ColdStore(store, slow, folder=tmp_path, hub_id="h", now=datetime.now)
    with ThreadPoolExecutor(2) as pool:
        found = list(pool.map(lambda _: cold.bucket, range(2)))
    assert found == [opened[0]] * 2


def test_a_sample_of_whole_rows_has_no_problems(cold: Any) -> None:
    assert cold.tiers.sample_problems(50) == []
    cold.store.write(lambda c: c.execute("UPDATE memories SET project = 'other'").fetchall())
    assert cold.tiers.sample_problems(50)[0].startswith("50 cold rows")


def test_hot_and_warm_rows_ask_nothing_of_the_bucket(world: Any, make_record: Any) -> None:
    world.merge([make_record(1)])
    world.now += timedelta(days=8)
    world.tiers.age()
    assert world.texts() == {"m1": make_record(1).text}
    assert world.bucket.calls == []
