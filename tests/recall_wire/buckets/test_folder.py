"""What only a folder can get wrong: links, names, missing drives, what another process does."""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from recall_wire.buckets.base import Bucket
from recall_wire.buckets.folder import FolderBucket
from recall_wire.buckets.folder_files import TMP
from recall_wire.errors import (
    BucketRefused,
    ObjectNotFound,
    UnsafeKey,
)


def keys(bucket: Bucket, prefix: str = "", **options: str) -> list[str]:
    return [info.key for page in bucket.list(prefix, **options) for info in page.objects]


# The root


CALLS: list[Callable[[Bucket], object]] = [
    lambda bucket: bucket.put("a", b""),
    lambda bucket: bucket.put("a", b"", if_absent=True),
    lambda bucket: bucket.get("a", max_bytes=1),
    lambda bucket: bucket.head("a"),
    lambda bucket: bucket.delete("a"),
    lambda bucket: list(bucket.list("")),
    lambda bucket: bucket.create_multipart("a"),
    lambda bucket: bucket.list_multipart(""),
]


@pytest.mark.parametrize("call", CALLS)
def test_a_missing_root_is_refused_and_never_created(
    tmp_path: Path, call: Callable[[Bucket], object]
) -> None:
    missing = tmp_path / "not-mounted"
    with pytest.raises(BucketRefused, match="mount its drive"):
        call(FolderBucket(missing))
    assert not missing.exists()


def test_a_root_that_is_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(BucketRefused, match="is not there"):
        FolderBucket(tmp_path / "file").put("a", b"")


def test_a_root_may_be_a_link(tmp_path: Path, root: Path) -> None:
    (tmp_path / "link").symlink_to(root)
    FolderBucket(tmp_path / "link").put("a/b", b"x")
    assert (root / "a" / "b").read_bytes() == b"x"


# Links


def test_links_are_never_followed(folder: FolderBucket, root: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret").write_bytes(b"secret")
    folder.put("inside/real", b"real")
    (root / "out").symlink_to(outside)
    (root / "file").symlink_to(outside / "secret")
    (root / "inside" / "loop").symlink_to(root)
    assert keys(folder) == ["inside/real"]
    assert keys(folder, "out/") == []
    for key in ("out/secret", "file", "inside/loop/inside/real"):
        with pytest.raises(ObjectNotFound):
            folder.get(key, max_bytes=100)
    for key in ("out/new", "inside/loop/new"):
        with pytest.raises(BucketRefused, match="symbolic link"):
            folder.put(key, b"")
    with pytest.raises(BucketRefused):
        folder.delete("out/secret")
    assert sorted(path.name for path in outside.iterdir()) == ["secret"]


def test_writing_replaces_a_link_and_not_what_it_points_to(
    folder: FolderBucket, root: Path, tmp_path: Path
) -> None:
    (tmp_path / "target").write_bytes(b"untouched")
    (root / "key").symlink_to(tmp_path / "target")
    folder.put("key", b"new")
    assert (tmp_path / "target").read_bytes() == b"untouched"
    assert folder.get("key", max_bytes=10) == b"new"


def test_pipes_and_sockets_are_no_objects(folder: FolderBucket, root: Path) -> None:
    os.mkfifo(root / "pipe")
    assert keys(folder) == []
    with pytest.raises(ObjectNotFound):
        folder.get("pipe", max_bytes=1)


# Names


def test_the_buckets_own_folder_is_no_place_for_keys(folder: FolderBucket) -> None:
    folder.put("a", b"")
    with pytest.raises(UnsafeKey):
        folder.put(f"{TMP}/a", b"")
    with pytest.raises(UnsafeKey):
        folder.get(f"{TMP}/a", max_bytes=1)
    assert keys(folder) == ["a"]
    assert keys(folder, TMP[:4]) == []


def test_a_name_too_long_for_the_file_system_is_unsafe(folder: FolderBucket) -> None:
    with pytest.raises(UnsafeKey):
        folder.put("x" * 300, b"")


def test_files_whose_names_are_no_keys_are_left_out(folder: FolderBucket, root: Path) -> None:
    folder.put("good", b"")
    with open(os.fsencode(root) + b"/bad\xff", "wb"):
        pass
    assert keys(folder) == ["good"]


def test_a_file_in_a_folders_place_is_refused(folder: FolderBucket) -> None:
    folder.put("a", b"")
    folder.put("b/c", b"")
    with pytest.raises(BucketRefused, match="stands where"):
        folder.put("a/b", b"")
    with pytest.raises(BucketRefused, match="stands where"):
        folder.put("b", b"")


# ETags, deleting, multipart


def test_the_etag_changes_when_another_tool_writes_in_place(
    folder: FolderBucket, root: Path
) -> None:
    etag = folder.put("a.duckdb", b"one")
    (root / "a.duckdb").write_bytes(b"two")
    assert folder.head("a.duckdb").etag != etag


def test_deleting_prunes_empty_folders_and_stops_at_the_root(
    folder: FolderBucket, root: Path
) -> None:
    folder.put("a/b/c/d", b"")
    folder.put("a/x", b"")
    folder.delete("a/b/c/d")
    assert sorted(path.name for path in (root / "a").iterdir()) == ["x"]
    folder.delete("a/x")
    assert [path.name for path in root.iterdir()] == [TMP]


def test_a_write_wins_over_a_deletion_that_prunes_its_folder(
    folder: FolderBucket, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    link = os.link
    pruned = []

    def prune_first(*args: object, **options: object) -> None:
        if not pruned:
            pruned.append(True)
            (root / "a" / "b").rmdir()
            (root / "a").rmdir()
        link(*args, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(os, "link", prune_first)
    folder.put("a/b/key", b"x", if_absent=True)
    assert folder.get("a/b/key", max_bytes=1) == b"x"


def test_an_upload_outlives_its_process(folder: FolderBucket, root: Path) -> None:
    upload_id = folder.create_multipart("s/a")
    part = folder.upload_part("s/a", upload_id, 1, b"part")
    later = FolderBucket(root)
    [pending] = later.list_multipart("s/")
    assert (pending.key, pending.upload_id) == ("s/a", upload_id)
    assert abs(datetime.now(UTC) - pending.started_at) < timedelta(minutes=1)
    assert later.list_parts("s/a", upload_id) == (part,)
    later.complete_multipart("s/a", upload_id, (part,))
    assert folder.get("s/a", max_bytes=10) == b"part"


@pytest.mark.parametrize("upload_id", ["", "..", "../../systems", "0" * 32, "x" * 300, "a/b", "\0"])
def test_a_hostile_upload_id_is_not_found(folder: FolderBucket, root: Path, upload_id: str) -> None:
    folder.put("systems/a", b"")
    with pytest.raises(ObjectNotFound):
        folder.upload_part("a", upload_id, 1, b"")
    with pytest.raises(ObjectNotFound):
        folder.list_parts("a", upload_id)
    folder.abort_multipart("a", upload_id)
    assert keys(folder) == ["systems/a"]


def test_an_upload_belongs_to_its_key(folder: FolderBucket) -> None:
    upload_id = folder.create_multipart("a")
    with pytest.raises(ObjectNotFound):
        folder.upload_part("b", upload_id, 1, b"")
    folder.abort_multipart("b", upload_id)
    assert [upload.key for upload in folder.list_multipart("")] == ["a"]


def test_a_part_that_was_written_again_since_is_not_the_one_meant(folder: FolderBucket) -> None:
    upload_id = folder.create_multipart("a")
    old = folder.upload_part("a", upload_id, 1, b"old")
    folder.upload_part("a", upload_id, 1, b"newer")
    with pytest.raises(ObjectNotFound):
        folder.complete_multipart("a", upload_id, (old,))
    assert keys(folder) == []


@pytest.mark.parametrize("number", [0, -1, 10_001])
def test_a_part_number_out_of_range_is_a_defect(folder: FolderBucket, number: int) -> None:
    upload_id = folder.create_multipart("a")
    with pytest.raises(ValueError, match="part number"):
        folder.upload_part("a", upload_id, number, b"")
