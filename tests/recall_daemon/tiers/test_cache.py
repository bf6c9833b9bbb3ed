"""Row groups on disk: bounded, private, and never wrong."""

from __future__ import annotations

from pathlib import Path

from recall_daemon.tiers.cache import GroupCache, GroupKey
from recall_daemon.tiers.cold_object import digest


def key(number: int) -> GroupKey:
    return GroupKey("ab" * 32, number)


def data(number: int, size: int = 100) -> bytes:
    return bytes([number]) * size


def held(cache: GroupCache, numbers: range) -> list[int]:
    return [n for n in numbers if cache.get(key(n), digest(data(n))) is not None]


def on_disk(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.iterdir())


def test_the_least_recently_read_goes_first(tmp_path: Path) -> None:
    cache = GroupCache(tmp_path / "c", limit_bytes=500)
    for number in range(5):
        cache.put(key(number), data(number))
    assert held(cache, range(1)) == [0]
    cache.put(key(5), data(5))
    assert held(cache, range(6)) == [0, 2, 3, 4, 5]
    assert cache.usage()["bytes"] == on_disk(tmp_path / "c") == 500


def test_it_survives_a_restart_with_its_order(tmp_path: Path) -> None:
    cache = GroupCache(tmp_path / "c", limit_bytes=500)
    for number in range(5):
        cache.put(key(number), data(number))
    held(cache, range(2))
    again = GroupCache(tmp_path / "c", limit_bytes=300)
    again.put(key(9), data(9))
    assert held(again, range(10)) == [0, 1, 9]
    assert on_disk(tmp_path / "c") == 300


def test_a_damaged_or_cut_off_entry_counts_for_nothing(tmp_path: Path) -> None:
    cache = GroupCache(tmp_path / "c", limit_bytes=500)
    for number in range(3):
        cache.put(key(number), data(number))
    (tmp_path / "c" / key(0).name).write_bytes(data(7))
    (tmp_path / "c" / key(1).name).write_bytes(data(1)[:50])
    (tmp_path / "c" / f"{key(4).name}.new").write_bytes(b"half")
    again = GroupCache(tmp_path / "c", limit_bytes=500)
    assert held(again, range(5)) == [2]
    assert [path.name for path in (tmp_path / "c").iterdir()] == [key(2).name]
    assert again.usage()["bytes"] == 100


def test_entries_are_private(tmp_path: Path) -> None:
    cache = GroupCache(tmp_path / "c", limit_bytes=500)
    cache.put(key(1), data(1))
    assert (tmp_path / "c").stat().st_mode & 0o777 == 0o700
    assert (tmp_path / "c" / key(1).name).stat().st_mode & 0o777 == 0o600


def test_what_is_too_large_or_not_wanted_is_not_kept(tmp_path: Path) -> None:
    cache = GroupCache(tmp_path / "c", limit_bytes=50)
    cache.put(key(1), data(1))
    assert held(cache, range(2)) == []
    off = GroupCache(tmp_path / "off", limit_bytes=0)
    off.put(key(1), data(1))
    assert off.usage()["entries"] == 0


def test_clearing_leaves_nothing_on_disk(tmp_path: Path) -> None:
    cache = GroupCache(tmp_path / "c", limit_bytes=500)
    for number in range(4):
        cache.put(key(number), data(number))
    cache.clear()
    assert list((tmp_path / "c").iterdir()) == []


def test_a_folder_that_cannot_be_written_is_no_error(tmp_path: Path) -> None:
    cache = GroupCache(tmp_path / "c", limit_bytes=500)
    cache.put(key(1), data(1))
    (tmp_path / "c" / f"{key(2).name}.new").mkdir()
    cache.put(key(2), data(2))
    assert held(cache, range(3)) == [1]
