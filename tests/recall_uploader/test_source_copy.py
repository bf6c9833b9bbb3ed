"""A live source, copied whole: beside a writer that never rests, and when everything goes wrong."""

from __future__ import annotations

import errno
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import duckdb
import pytest

from recall_uploader import source_copy
from recall_uploader.source_copy import copy_stable
from recall_wire.errors import SourceBusy, SourceInvalid, TransientError
from recall_wire.formats import ReadOptions, open_source

_WRITER = """
import sys, duckdb
connection = duckdb.connect(sys.argv[1])
connection.execute("CREATE TABLE conversations (id INTEGER, content VARCHAR)")
done = 0
while True:
    rows = f"SELECT i, repeat('x', 50) FROM range({done}, {done + 10}) t(i)"
    connection.execute(f"INSERT INTO conversations {rows}")
    done += 10
    if done % 200 == 0:
        connection.execute("CHECKPOINT")
    print(done, flush=True)
"""


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "source.duckdb"
    with duckdb.connect(str(path)) as connection:
        connection.execute("CREATE TABLE conversations AS SELECT 1 AS id, 'x' AS content")
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "copies"
    path.mkdir()
    return path


@pytest.fixture
def waits() -> list[float]:
    return []


@pytest.fixture
def on_copy(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[int, Path], None]], None]:
    """Do something after the Nth file was copied, before anybody looks whether it changed."""

    def install(step: Callable[[int, Path], None]) -> None:
        real, count = source_copy._copy_start, iter(range(1, 100))

        def copy(source: Path, target: Path, size: int) -> None:
            real(source, target, size)
            step(next(count), source)

        monkeypatch.setattr(source_copy, "_copy_start", copy)

    return install


def _ids(path: Path) -> list[int]:
    with open_source(path, ReadOptions()) as opened:
        return sorted(int(record.memory_id) for record in opened.records())


@pytest.fixture
def disk() -> Iterator[Path]:
    """A folder on a disk, where a commit takes its time: in memory hardly a moment is left."""
    with tempfile.TemporaryDirectory(dir="/var/tmp") as folder:
        yield Path(folder)


@pytest.fixture
def writer(tmp_path: Path, disk: Path) -> Iterator[tuple[Path, Callable[[], int]]]:
    """A process that writes and checkpoints without a pause, and how far it said it was."""
    path, log = disk / "live.duckdb", tmp_path / "progress"
    with log.open("wb") as out:
        process = subprocess.Popen([sys.executable, "-c", _WRITER, str(path)], stdout=out)

    def done() -> int:
        lines = log.read_bytes().rpartition(b"\n")[0].split()
        return int(lines[-1]) if lines else 0

    while done() < 100:
        assert process.poll() is None
    yield path, done
    process.kill()
    process.wait()


def test_a_copy_beside_a_writer_that_never_rests(
    writer: tuple[Path, Callable[[], int]], tmp_path: Path
) -> None:
    path, done = writer
    for number in range(10):
        folder = tmp_path / str(number)
        folder.mkdir()
        committed = done()
        ids = _ids(copy_stable(path, folder, attempts=30))
        assert ids == list(range(len(ids)))
        assert len(ids) >= committed


def test_source_and_log_stay_as_they_are(folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "live.duckdb"
    code = (
        f"import os, duckdb; c = duckdb.connect({str(path)!r}); "
        "c.execute(\"CREATE TABLE conversations AS SELECT 7 AS id, 'x' AS content\"); "
        "os.kill(os.getpid(), 9)"
    )
    subprocess.run([sys.executable, "-c", code], check=False)
    wal = Path(f"{path}.wal")
    before = (path.read_bytes(), wal.read_bytes())
    copy = copy_stable(path, folder)
    assert _ids(copy) == [7]
    assert sorted(entry.name for entry in folder.iterdir()) == ["live.duckdb", "live.duckdb.wal"]
    assert (path.read_bytes(), wal.read_bytes()) == before


def _grow(path: Path) -> None:
    with path.open("ab") as file:
        file.write(b"\0" * 100)


def _checkpoint(path: Path) -> None:
    with duckdb.connect(str(path)) as connection:
        connection.execute("INSERT INTO conversations VALUES (2, 'y')")


def _replace(path: Path) -> None:
    other = path.with_suffix(".new")
    other.write_bytes(path.read_bytes())
    other.replace(path)


def _log_appears(path: Path) -> None:
    Path(f"{path}.wal").write_bytes(b"x" * 50)


@pytest.mark.parametrize("change", [_checkpoint, _replace, _log_appears])
def test_a_change_in_the_middle_is_noticed(
    source: Path,
    folder: Path,
    waits: list[float],
    on_copy: Callable[[Callable[[int, Path], None]], None],
    change: Callable[[Path], None],
) -> None:
    on_copy(lambda count, path: change(path) if count == 1 else None)
    copy = copy_stable(source, folder, sleep=waits.append)
    assert copy.read_bytes() == source.read_bytes()
    assert waits == [0.1]


def test_an_owner_that_never_stops(
    source: Path,
    folder: Path,
    waits: list[float],
    on_copy: Callable[[Callable[[int, Path], None]], None],
) -> None:
    on_copy(lambda _, path: _checkpoint(path))
    with pytest.raises(SourceBusy, match=r"source\.duckdb was written to while it was copied"):
        copy_stable(source, folder, attempts=4, sleep=waits.append)
    assert waits == [0.1, 0.2, 0.4]
    assert list(folder.iterdir()) == []


def test_a_log_that_vanishes_or_shrinks(
    source: Path,
    folder: Path,
    waits: list[float],
    on_copy: Callable[[Callable[[int, Path], None]], None],
) -> None:
    wal = Path(f"{source}.wal")
    wal.write_bytes(b"y" * 500)

    def disturb(count: int, _: Path) -> None:
        if count == 1:
            wal.write_bytes(b"y" * 400)
        if count == 3:
            wal.unlink()

    on_copy(disturb)
    copy = copy_stable(source, folder, sleep=waits.append)
    assert waits == [0.1, 0.2]
    assert [entry.name for entry in folder.iterdir()] == [copy.name]


def test_a_checkpoint_under_way(source: Path, folder: Path, waits: list[float]) -> None:
    Path(f"{source}.wal.checkpoint").write_bytes(b"")
    with pytest.raises(SourceBusy, match="in the middle of a checkpoint"):
        copy_stable(source, folder, sleep=waits.append)


def test_text_files_must_not_change_at_all(
    tmp_path: Path,
    folder: Path,
    waits: list[float],
    on_copy: Callable[[Callable[[int, Path], None]], None],
) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text('{"memory_id": "a"}\n')
    on_copy(lambda count, source: _grow(source) if count == 1 else None)
    assert copy_stable(path, folder, sleep=waits.append).read_bytes() == path.read_bytes()
    assert waits == [0.1]


def test_a_damaged_source_is_told_from_a_busy_one(
    source: Path, folder: Path, waits: list[float]
) -> None:
    source.write_bytes(source.read_bytes()[:20_000])
    with pytest.raises(SourceInvalid, match="truncated"):
        copy_stable(source, folder, sleep=waits.append)
    assert waits == [0.1]
    assert list(folder.iterdir()) == []


def test_paths_that_are_no_file(tmp_path: Path, folder: Path) -> None:
    import os

    os.mkfifo(tmp_path / "pipe")
    for name, reason in (("absent", "there is no file"), ("pipe", "is not a file"), (".", "not a")):
        with pytest.raises(SourceInvalid, match=reason):
            copy_stable(tmp_path / name, folder)


def test_a_full_disk(source: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = Path.open

    class Full:
        def __init__(self, file: object) -> None:
            self._file = file

        def __enter__(self) -> Full:
            return self

        def __exit__(self, *error: object) -> None:
            self._file.close()  # type: ignore[attr-defined]

        def write(self, _: bytes) -> int:
            raise OSError(errno.ENOSPC, "No space left on device")

    def full(self: Path, mode: str = "r") -> object:
        return Full(real(self, mode)) if mode == "wb" else real(self, mode)

    monkeypatch.setattr(Path, "open", full)
    with pytest.raises(TransientError, match="no space left in"):
        copy_stable(source, folder)
    assert list(folder.iterdir()) == []
