"""DuckDB files made to harm: nothing of theirs runs; what is wrong is said in one sentence."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import duckdb
import pytest

from recall_wire.errors import LimitExceeded, SourceBusy, SourceInvalid
from recall_wire.formats import duckdb_file
from recall_wire.formats.duckdb_file import DuckDBFile
from recall_wire.records import Record

Make = Callable[..., Path]
Read = Callable[..., list[Record]]

_TABLE = "CREATE TABLE conversations (id INT, content VARCHAR)"
_ROWS = "INSERT INTO conversations SELECT i, md5(i::VARCHAR) FROM range(20000) t(i)"


def test_macros_replace_no_function(database: Make, read: Read) -> None:
    path = database(
        _TABLE,
        "INSERT INTO conversations VALUES (1, 'mine')",
        "CREATE MACRO encode(x) AS 'pwned'::BLOB",
        "CREATE MACRO epoch_us(x) AS 0",
        "CREATE MACRO to_json(x) AS 'pwned'",
    )
    assert [record.text for record in read(path)] == ["mine"]


def test_views_are_never_read(
    database: Make, read: Read, warnings: Callable[[Path], list[str]], tmp_path: Path
) -> None:
    secret = tmp_path / "secret"
    secret.write_text("credentials")
    path = database(
        _TABLE,
        f"CREATE VIEW reflections AS SELECT 1 AS id, content FROM read_text('{secret}')",
        "CREATE VIEW conversations_v2 AS SELECT * FROM conversations",
    )
    assert read(path) == []
    assert warnings(path) == [
        "main.conversations_v2 (view) was not read",
        "main.reflections (view) was not read",
    ]


def test_a_file_with_nothing_but_views_is_refused(database: Make, read: Read) -> None:
    path = database("CREATE VIEW conversations AS SELECT 1 AS id, 'x' AS content")
    with pytest.raises(SourceInvalid, match="none of the tables"):
        read(path)


def test_generated_columns_are_not_computed(database: Make, read: Read) -> None:
    path = database(
        "CREATE TABLE conversations (id INT, "
        "content VARCHAR GENERATED ALWAYS AS (repeat('x', 1000000)))",
        "INSERT INTO conversations (id) VALUES (1), (2)",
    )
    assert [record.text for record in read(path)] == [None, None]


def test_the_locked_connection_reaches_no_other_file(database: Make, tmp_path: Path) -> None:
    other = tmp_path / "other.txt"
    other.write_text("x")
    file = DuckDBFile(database(_TABLE), scratch_dir=tmp_path, memory_max_bytes=1 << 28)
    with file._connect() as connection:
        for statement in (
            f"SELECT * FROM read_text('{other}')",
            f"ATTACH '{other}' AS o",
            f"COPY (SELECT 1) TO '{tmp_path / 'out.csv'}'",
            "SET enable_external_access = true",
            "SET memory_limit = '100GB'",
            "LOAD httpfs",
            "INSERT INTO source.main.conversations VALUES (1, 'x')",
        ):
            with pytest.raises(duckdb.Error):
                connection.execute(statement)
    file.close()
    assert not (tmp_path / "out.csv").exists()


@pytest.mark.parametrize("size", [0, 1, 15, 100, 4096, 20_000])
def test_truncated_files(database: Make, read: Read, size: int) -> None:
    path = database(_TABLE, _ROWS)
    path.write_bytes(path.read_bytes()[:size])
    with pytest.raises(SourceInvalid, match=r"truncated|empty|first line"):
        read(path)


def test_half_a_file(database: Make, read: Read) -> None:
    path = database(_TABLE, _ROWS)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(SourceInvalid, match=r"memory.duckdb is (truncated|damaged)"):
        read(path)


@pytest.mark.parametrize("start", [4096, 4096 * 3, 4096 * 3 + 262144 // 2])
def test_damaged_files(database: Make, read: Read, start: int) -> None:
    path = database(_TABLE, _ROWS)
    data = bytearray(path.read_bytes())
    data[start:] = os.urandom(len(data) - start)
    path.write_bytes(data)
    with pytest.raises(SourceInvalid, match=r"memory.duckdb is damaged") as caught:
        read(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("version", [70, 998, 10**6])
def test_a_file_of_a_newer_duckdb(
    database: Make,
    read: Read,
    with_storage_version: Callable[[Path, int], None],
    version: int,
) -> None:
    path = database(_TABLE)
    with_storage_version(path, version)
    with pytest.raises(SourceInvalid, match=rf"newer DuckDB .*{version}\); upgrade the duckdb"):
        read(path)


def test_a_newer_version_whose_checksum_nobody_fixed(database: Make, read: Read) -> None:
    path = database(_TABLE)
    data = bytearray(path.read_bytes())
    data[12] = 200
    data[13] = 200
    path.write_bytes(data)
    with pytest.raises(SourceInvalid, match="newer DuckDB"):
        read(path)


def test_a_file_of_an_ancient_duckdb(
    database: Make, read: Read, with_storage_version: Callable[[Path, int], None]
) -> None:
    path = database(_TABLE)
    with_storage_version(path, 39)
    with pytest.raises(SourceInvalid, match=r"before 0\.10"):
        read(path)


def test_an_encrypted_file(tmp_path: Path, read: Read) -> None:
    path = tmp_path / "secret.duckdb"
    with duckdb.connect(":memory:", config={"force_mbedtls_unsafe": "true"}) as connection:
        connection.execute(f"ATTACH '{path}' AS e (ENCRYPTION_KEY 'key')")
        connection.execute("CREATE TABLE e.conversations (id INT)")
    with pytest.raises(SourceInvalid, match=r"secret\.duckdb is encrypted"):
        read(path)


def test_the_log_of_another_database(database: Make, live_database: Make, read: Read) -> None:
    live = live_database(_TABLE, "INSERT INTO conversations VALUES (1, 'x')")
    path = database(_TABLE, _ROWS)
    Path(f"{path}.wal").write_bytes(Path(f"{live}.wal").read_bytes())
    with pytest.raises(SourceInvalid, match=r"memory.duckdb.wal does not belong"):
        read(path)


def test_a_file_its_owner_holds_open(tmp_path: Path, read: Read) -> None:
    import subprocess
    import sys

    path = tmp_path / "held.duckdb"
    code = f"import duckdb; c = duckdb.connect({str(path)!r}); print('open', flush=True); input()"
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as owner:
        assert owner.stdout
        assert owner.stdout.readline() == b"open\n"
        with pytest.raises(SourceBusy, match=r"held\.duckdb is open in another process"):
            read(path)
        owner.communicate(b"\n")


def test_large_rows_get_more_memory_and_keep_their_order(
    database: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(duckdb_file, "_MEMORY_BYTES", 12 << 20)
    path = database(
        _TABLE,
        "INSERT INTO conversations SELECT i, md5(i::VARCHAR) FROM range(122880) t(i)",
        "INSERT INTO conversations SELECT 122880 + i, "
        "(SELECT string_agg(md5((i * 1000 + j)::VARCHAR), '') FROM range(500) r(j)) "
        "FROM range(3000) t(i) ORDER BY i",
    )
    file = DuckDBFile(path, scratch_dir=tmp_path, memory_max_bytes=1 << 30)
    table, _ = file.table("conversations")
    assert table
    rows = file.stream(table, ["id", "content"])
    ids = [next(rows)[0]]
    assert file._memory_bytes == 12 << 20
    ids += [row[0] for row in rows]
    assert file._memory_bytes > 12 << 20
    assert ids == list(range(125880))
    file.close()


def test_rows_beyond_the_memory_limit(database: Make, read: Read) -> None:
    path = database(
        _TABLE, "INSERT INTO conversations SELECT i, repeat('x', 60000) FROM range(2000) t(i)"
    )
    with pytest.raises(LimitExceeded, match="more than the 32 MiB"):
        read(path, memory_max_bytes=32 << 20)
