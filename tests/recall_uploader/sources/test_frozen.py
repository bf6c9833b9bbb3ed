"""Files as they were at one moment, and the lines in them."""

from __future__ import annotations

import io
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recall_uploader.sources.frozen import freeze_file, freeze_folder, printable, read_lines
from recall_wire.errors import SourceBusy, SourceInvalid


def test_only_a_regular_file_is_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", tmp_path, tmp_path / "absent"):
        with pytest.raises(SourceInvalid, match="cannot be read"):
            freeze_file(path)


def test_a_file_may_be_named_by_a_link(tmp_path: Path) -> None:
    (tmp_path / "real").write_bytes(b"12345")
    (tmp_path / "link").symlink_to(tmp_path / "real")
    [file] = freeze_file(tmp_path / "link").files
    assert (file.name, file.size_bytes) == ("link", 5)


def test_a_link_put_in_a_files_place_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"1")
    (tmp_path / "b").write_bytes(b"2")
    [file] = freeze_file(tmp_path / "a").files
    (tmp_path / "a").unlink()
    (tmp_path / "a").symlink_to(tmp_path / "b")
    with pytest.raises(SourceBusy):
        file.open(may_grow=True)


def test_a_file_that_is_written_while_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"1")
    [file] = freeze_file(path).files
    with file.open(may_grow=False) as reading:
        file.check(reading)
        path.write_bytes(b"12")
        with pytest.raises(SourceBusy, match="was changed"):
            file.check(reading)


def test_names_come_in_the_order_of_their_bytes(tmp_path: Path) -> None:
    for name in ("b", "a", "é", "B", "x/a", "x-"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    names = [file.name for file in freeze_folder(tmp_path, lambda name: True).files]
    assert names == ["B", "a", "b", "x-", "x/a", "é"]


@given(
    data=st.lists(st.sampled_from([b"a", b"bc", b"\n", b"x" * 9]), max_size=20).map(b"".join),
    size=st.integers(0, 60),
    longest=st.integers(1, 12),
)
def test_lines_are_those_of_the_first_bytes(data: bytes, size: int, longest: int) -> None:
    lines = data[:size].splitlines(keepends=True)
    expected = [line if len(line.rstrip(b"\n")) <= longest else None for line in lines]
    assert list(read_lines(io.BytesIO(data), size, longest)) == expected


def test_what_is_said_of_a_name_is_one_short_line() -> None:
    assert printable("a\n\x1b[31m" + "b" * 500) == "a??[31m" + "b" * 193
