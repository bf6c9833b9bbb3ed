"""Small databases of the shapes the readers meet, made on the spot."""

from __future__ import annotations

import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import duckdb
import pytest

from recall_wire.formats import ReadOptions, open_source
from recall_wire.records import Record

_KILLED_WRITER = """
import os, sys, duckdb
connection = duckdb.connect(sys.argv[1])
for statement in sys.argv[2:]:
    connection.execute(statement)
os.kill(os.getpid(), 9)
"""


@pytest.fixture
def database(tmp_path: Path) -> Callable[..., Path]:
    """Make a DuckDB file; `storage` names the DuckDB version it must be readable for."""

    def make(*statements: str, name: str = "memory.duckdb", storage: str | None = None) -> Path:
        path = tmp_path / name
        config = {"storage_compatibility_version": storage or "latest"}
        with duckdb.connect(str(path), config={**config}) as connection:
            for statement in statements:
                connection.execute(statement)
        return path

    return make


@pytest.fixture
def live_database(tmp_path: Path) -> Callable[..., Path]:
    """A file whose writer was killed: its rows are in the `.wal` alone."""

    def make(*statements: str) -> Path:
        path = tmp_path / "live.duckdb"
        command = [sys.executable, "-c", _KILLED_WRITER, str(path), *statements]
        assert subprocess.run(command, check=False).returncode == -9
        return path

    return make


@pytest.fixture
def read(tmp_path: Path) -> Callable[..., list[Record]]:
    def read_all(path: Path, **options: object) -> list[Record]:
        with open_source(path, ReadOptions(scratch_dir=tmp_path, **options)) as source:  # type: ignore[arg-type]
            return list(source.records())

    return read_all


@pytest.fixture
def warnings(tmp_path: Path) -> Callable[[Path], list[str]]:
    def read_all(path: Path) -> list[str]:
        with open_source(path, ReadOptions(scratch_dir=tmp_path)) as source:
            for _ in source.records():
                pass
            return source.warnings

    return read_all


@pytest.fixture
def with_storage_version() -> Callable[[Path, int], None]:
    """Patch a DuckDB file's storage version, and the checksum of its first block with it."""

    def patch(path: Path, version: int) -> None:
        data = bytearray(path.read_bytes())
        data[12:20] = version.to_bytes(8, "little")
        checksum = 5381
        for (word,) in struct.iter_unpack("<Q", bytes(data[8:4096])):
            checksum ^= word * 0xBF58476D1CE4E5B9 & (1 << 64) - 1
        data[:8] = checksum.to_bytes(8, "little")
        path.write_bytes(data)

    return patch
