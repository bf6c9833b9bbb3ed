"""A folder's order on disk: what is durable when, after a crash, and on file systems with less."""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from pathlib import Path

import pytest

from recall_wire.buckets import folder_staging
from recall_wire.buckets.folder import FolderBucket
from recall_wire.buckets.folder_errors import translate
from recall_wire.buckets.folder_files import TMP
from recall_wire.errors import (
    BucketRefused,
    BucketUnreachable,
    PreconditionFailed,
    RecallError,
    UnsafeKey,
)

# Durability


def record_syncs(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    events: list[str] = []
    fsync, link, replace, mkdir = os.fsync, os.link, os.replace, os.mkdir

    def name_of(fd: int) -> str:
        return Path(os.readlink(f"/proc/self/fd/{fd}")).name

    def tell(event: str, act: Callable[..., object]) -> Callable[..., object]:
        def told(*args: object, **options: object) -> object:
            events.append(event)
            return act(*args, **options)

        return told

    def told_fsync(fd: int) -> None:
        name = name_of(fd)
        events.append("fsync file" if name.endswith(".tmp") else f"fsync {name}")
        fsync(fd)

    monkeypatch.setattr(os, "fsync", told_fsync)
    monkeypatch.setattr(os, "link", tell("link", link))
    monkeypatch.setattr(os, "replace", tell("replace", replace))
    monkeypatch.setattr(os, "mkdir", tell("mkdir", mkdir))
    return events


linux = pytest.mark.parametrize(
    "if_absent", [True, False] if Path("/proc/self/fd").exists() else []
)


@linux
def test_bytes_then_folders_then_name_then_folder_are_durable(
    folder: FolderBucket, monkeypatch: pytest.MonkeyPatch, if_absent: bool
) -> None:
    folder.put("warm-up", b"")
    events = record_syncs(monkeypatch)
    folder.put("a/b/key", b"", if_absent=if_absent)
    named = events.index("link" if if_absent else "replace")
    before, after = events[:named], events[named + 1 :]
    assert before[0] == "fsync file"
    assert before.count("mkdir") == 2
    assert before[-2:] == ["fsync a", "fsync root"]
    assert after == ["fsync b"]
    events.clear()
    folder.put("a/b/other", b"", if_absent=if_absent)
    assert events == ["fsync file", "link" if if_absent else "replace", "fsync b"]


@linux
def test_folders_another_process_made_are_made_durable_too(
    root: Path, monkeypatch: pytest.MonkeyPatch, if_absent: bool
) -> None:
    (root / "a" / "b").mkdir(parents=True)  # its maker may have died before its fsync
    events = record_syncs(monkeypatch)
    FolderBucket(root).put("a/b/key", b"", if_absent=if_absent)
    assert {"fsync a", "fsync root"} <= set(events[: events.index("fsync b")])


@pytest.mark.parametrize("last", ["fsync b"] if Path("/proc/self/fd").exists() else [])
def test_who_hears_that_a_key_exists_can_rely_on_it(
    folder: FolderBucket, monkeypatch: pytest.MonkeyPatch, last: str
) -> None:
    """Its writer may have died between the link and the fsync of the folder."""
    folder.put("a/b/key", b"")
    events = record_syncs(monkeypatch)
    with pytest.raises(PreconditionFailed):
        folder.put("a/b/key", b"", if_absent=True)
    assert events[-1] == last


def test_a_failed_write_leaves_neither_object_nor_temporary_file(
    folder: FolderBucket, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder.put("a", b"old")

    def full(fd: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    for if_absent, key in ((False, "a"), (True, "new")):
        with pytest.raises(BucketUnreachable, match="disk full"):
            folder.put(key, b"new", if_absent=if_absent)
    assert [info.key for page in folder.list("") for info in page.objects] == ["a"]
    assert folder.get("a", max_bytes=10) == b"old"
    assert list((root / TMP).iterdir()) == []


def test_what_a_crash_left_is_removed_after_a_day(root: Path) -> None:
    tmp = root / TMP
    (tmp / "multipart" / ("0" * 32)).mkdir(parents=True)  # cut off before its key was written
    (tmp / "old.tmp").write_bytes(b"")
    (tmp / "young.tmp").write_bytes(b"")
    pending = FolderBucket(root).create_multipart("a")
    a_day_ago = time.time() - folder_staging.STALE_S - 60
    for path in (tmp / "old.tmp", tmp / "multipart" / ("0" * 32), tmp / "multipart" / pending):
        os.utime(path, (a_day_ago, a_day_ago))
    FolderBucket(root).put("b", b"")
    assert sorted(path.name for path in tmp.iterdir()) == ["multipart", "young.tmp"]
    assert [path.name for path in (tmp / "multipart").iterdir()] == [pending]


# File systems with less


def no_links(*_: object, **__: object) -> None:
    raise OSError(errno.EOPNOTSUPP, "Operation not supported")


def test_create_if_absent_without_hard_links(
    folder: FolderBucket, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "link", no_links)
    folder.put("a/m", b"first", if_absent=True)
    with pytest.raises(PreconditionFailed):
        folder.put("a/m", b"second", if_absent=True)
    assert folder.get("a/m", max_bytes=10) == b"first"
    assert [path.name for path in (root / TMP).iterdir()] == ["lock"]
    assert [info.key for page in folder.list("") for info in page.objects] == ["a/m"]


def test_without_hard_links_a_second_writer_waits_for_the_first(
    folder: FolderBucket, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second comes at the worst moment: the first has looked, and not yet renamed."""
    replace = os.replace
    other: list[Future[str]] = []

    with ThreadPoolExecutor(1) as pool:

        def second_comes(*args: object, **options: object) -> None:
            if not other:
                write = FolderBucket(root).put
                other.append(pool.submit(write, "race", b"second", if_absent=True))
                wait(other, timeout=0.3)
            replace(*args, **options)  # type: ignore[arg-type]

        monkeypatch.setattr(os, "link", no_links)
        monkeypatch.setattr(os, "replace", second_comes)
        folder.put("race", b"first", if_absent=True)
        with pytest.raises(PreconditionFailed):
            other[0].result(30)
    assert folder.get("race", max_bytes=10) == b"first"


def test_a_folder_that_cannot_be_synced_is_still_written_to(
    folder: FolderBucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    fsync = os.fsync

    def files_only(fd: int) -> None:
        if os.path.isdir(f"/proc/self/fd/{fd}"):
            raise OSError(errno.EINVAL, "Invalid argument")
        fsync(fd)

    monkeypatch.setattr(os, "fsync", files_only)
    folder.put("a/b", b"x")
    assert folder.get("a/b", max_bytes=1) == b"x"


ERRORS = [
    (errno.EACCES, BucketRefused, "permission denied"),
    (errno.EROFS, BucketRefused, "permission denied"),
    (errno.ENOSPC, BucketUnreachable, "disk full"),
    (errno.EDQUOT, BucketUnreachable, "disk full"),
    (errno.EIO, BucketUnreachable, "Input/output error"),
    (errno.ESTALE, BucketUnreachable, "Stale file handle"),
    (errno.ENOTCONN, BucketUnreachable, "not connected"),
    (errno.ENAMETOOLONG, UnsafeKey, "too long"),
]


@pytest.mark.parametrize(("number", "expected", "said"), ERRORS)
@pytest.mark.parametrize("writes", [True, False])
def test_every_os_error_has_its_error(
    number: int, expected: type[RecallError], said: str, writes: bool
) -> None:
    error = translate(OSError(number, os.strerror(number)), "do it", "file:///x", writes=writes)
    assert type(error) is expected
    assert said in str(error)
    assert "file:///x" in str(error)
