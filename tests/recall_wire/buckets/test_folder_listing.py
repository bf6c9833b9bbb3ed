"""A folder lists as S3 does, and reads no more of the disk than it must."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from recall_wire.buckets.folder import FolderBucket

NAMES = st.text(st.sampled_from("ab-./0~\u00e9\U0001f600\uffee"), min_size=1, max_size=6)


def plausible(keys: set[str]) -> set[str]:
    """Keys a folder can hold together: no empty or dotted segment, no key inside another."""
    chosen: set[str] = set()
    for key in sorted(keys):
        segments = key.split("/")
        above = {"/".join(segments[:n]) for n in range(1, len(segments))}
        if not {"", ".", ".."} & set(segments) and not above & chosen:
            chosen.add(key)
    return chosen


def listed_by_s3(
    keys: set[str], prefix: str, start_after: str, delimiter: str
) -> tuple[list[str], list[str]]:
    """S3's listing, from its definition."""
    objects, prefixes = [], set()
    for key in sorted(keys, key=str.encode):
        if not key.startswith(prefix) or key.encode() <= start_after.encode():
            continue
        before, found, _ = key[len(prefix) :].partition(delimiter) if delimiter else ("", "", "")
        if found:
            prefixes.add(prefix + before + found)
        else:
            objects.append(key)
    return objects, sorted(prefixes, key=str.encode)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    names=st.sets(NAMES, max_size=12).map(plausible),
    prefix=st.sampled_from(["", "a", "a/", "a/b", "-", "b/"]),
    nth=st.integers(0, 12),
    other=NAMES,
    delimiter=st.sampled_from(["", "/", "a", "/b", "-/"]),
)
def test_any_folder_lists_as_s3_would(
    tmp_path_factory: pytest.TempPathFactory,
    *,
    names: set[str],
    prefix: str,
    nth: int,
    other: str,
    delimiter: str,
) -> None:
    start_after = ["", other, *sorted(names)][nth % (len(names) + 2)]
    root = tmp_path_factory.mktemp("listing")
    for key in names:
        (root / key).parent.mkdir(parents=True, exist_ok=True)
        (root / key).write_bytes(b"")
    (root / "empty" / "folders").mkdir(parents=True, exist_ok=True)
    [page] = FolderBucket(root).list(prefix, start_after=start_after, delimiter=delimiter)
    found = [info.key for info in page.objects], list(page.prefixes)
    assert found == listed_by_s3(names, prefix, start_after, delimiter)


def test_a_listing_reads_no_more_folders_than_it_must(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root, folder = tmp_path, FolderBucket(tmp_path)
    for system in "abc":
        for seq in range(1, 21):
            path = root / "systems" / system / "snapshots" / f"{seq:012d}" / "manifest.json"
            path.parent.mkdir(parents=True)
            path.write_bytes(b"")
    reads = 0
    scandir = os.scandir

    def counting(path: int) -> Iterator[os.DirEntry[str]]:
        nonlocal reads
        reads += 1
        return scandir(path)  # type: ignore[return-value]

    monkeypatch.setattr(os, "scandir", counting)

    def folders_read(prefix: str, **options: str) -> int:
        nonlocal reads
        reads = 0
        assert len(list(folder.list(prefix, **options))) == 1
        return reads

    prefix = "systems/b/snapshots/"
    assert folders_read("heads/") == 0
    assert folders_read(prefix, start_after=f"{prefix}{18:012d}/manifest.json") == 1 + 3
    # systems, each system, each snapshots folder, and the first snapshot in it
    assert folders_read("systems/", delimiter="/snapshots/") == 1 + 3 * 3
