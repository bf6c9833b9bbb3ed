"""What a path holds is told by its content, and what the settings say is held against it."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import duckdb
import pyarrow.parquet as pq
import pytest

from recall_uploader.sources.key import source_key
from recall_uploader.sources.settings import SourceSettings
from recall_wire.errors import SourceInvalid
from recall_wire.records import Record, to_batch

from .conftest import Read, said, user, write_lines

Open = Callable[..., Any]


@pytest.fixture
def places(tmp_path: Path) -> dict[str, Path]:
    """One of each kind, none with a telling suffix."""
    made = {name: tmp_path / name for name in ("buddy", "duck", "lite", "parquet")}
    with duckdb.connect(str(made["buddy"])) as duck:
        duck.execute("CREATE TABLE conversations (id VARCHAR, content VARCHAR)")
        duck.execute("INSERT INTO conversations VALUES ('b', 'text')")
    with duckdb.connect(str(made["duck"])) as duck:
        duck.execute("CREATE TABLE notes AS SELECT 'd' AS id")
    with closing(sqlite3.connect(made["lite"])) as lite:
        lite.execute("CREATE TABLE notes AS SELECT 's' AS id")
        lite.commit()
    import pyarrow as pa

    pq.write_table(pa.Table.from_batches([to_batch([Record(memory_id="p")])]), made["parquet"])
    made["records"] = write_lines(tmp_path / "records", {"memory_id": "r"})
    made["transcript"] = write_lines(tmp_path / "one/transcript", user("t", "text"))
    made["transcripts"] = tmp_path / "sessions"
    write_lines(made["transcripts"] / "p/s.jsonl", user("t", "text"))
    write_lines(made["transcripts"] / "p/memory/note.md", b"# note")
    made["notes"] = tmp_path / "vault"
    write_lines(made["notes"] / "a/n.md", b"# note")
    write_lines(made["notes"] / "data.jsonl", {"memory_id": "r"})
    return made


@pytest.mark.parametrize(
    ("place", "kind", "identity"),
    [
        ("buddy", "session-buddy", "b"),
        ("parquet", "records-parquet", "p"),
        ("records", "records-jsonl", "r"),
        ("transcript", "claude-code", "t"),
        ("transcripts", "claude-code", "t"),
        ("notes", "markdown", "a/n.md"),
    ],
)
def test_told_by_content(
    places: dict[str, Path], opening: Open, place: str, kind: str, identity: str
) -> None:
    with opening(places[place]) as opened:
        assert opened.records.type == kind
        assert [r.memory_id for r in opened.records.records()] == [identity]
        assert opened.key == source_key(SourceSettings(path=places[place]))
        assert len(opened.records.fingerprint) == 32
        is_copied = kind in ("session-buddy", "records-parquet", "records-jsonl")
        assert (opened.copy is not None) == is_copied
        assert opened.bytes > 0


@pytest.mark.parametrize(("place", "kind"), [("duck", "mapped-duckdb"), ("lite", "mapped-sqlite")])
def test_a_mapping_needs_no_type(
    places: dict[str, Path], opening: Open, place: str, kind: str
) -> None:
    mapping = {"table": "notes", "columns": {"memory_id": "id"}}
    for settings in (mapping, {**mapping, "type": "duckdb" if place == "duck" else "sqlite"}):
        with opening(places[place], **settings) as opened:
            assert (opened.records.type, len(list(opened.records.records()))) == (kind, 1)


@pytest.mark.parametrize(
    ("place", "settings", "reason"),
    [
        ("lite", {"type": "duckdb"}, "is set as duckdb and is an SQLite database"),
        ("duck", {"type": "claude-code"}, "is set as claude-code and is a DuckDB database"),
        ("duck", {"type": "session-buddy"}, "a DuckDB database without Session-Buddy's tables"),
        ("lite", {"type": "sqlite"}, "it needs a mapping; in the settings"),
        ("notes", {"type": "duckdb"}, "is set as duckdb and is Markdown"),
        ("records", {"type": "parquet"}, "is set as parquet and holds records-jsonl"),
        ("notes", {"table": "t", "columns": {"memory_id": "id"}}, "a mapping is set for it"),
        ("records", {"table": "t", "columns": {"memory_id": "id"}}, "a mapping is set for it"),
    ],
)
def test_settings_that_do_not_fit(
    places: dict[str, Path], read: Read, place: str, settings: dict[str, Any], reason: str
) -> None:
    with pytest.raises(SourceInvalid, match=reason):
        read(places[place], **settings)


def test_paths_that_hold_nothing(tmp_path: Path, read: Read) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "blank").touch()
    with pytest.raises(SourceInvalid, match="neither transcripts nor Markdown"):
        read(tmp_path / "empty")
    with pytest.raises(SourceInvalid, match="no file or folder"):
        read(tmp_path / "absent")
    with pytest.raises(SourceInvalid, match="is neither a file nor a folder"):
        read(Path("/dev/null"))
    with pytest.raises(SourceInvalid, match="is empty"):
        read(tmp_path / "blank")


def test_a_fresh_projects_folder_is_an_empty_source(projects: Path, read: Read) -> None:
    assert read(projects) == []


def test_a_fingerprint_says_nothing_of_the_content(projects: Path, opening: Open) -> None:
    seen = set()
    for text in ("one", "two"):
        write_lines(projects / "p/s.jsonl", user("u", [said(text)]), {"x": json.dumps(text)})
        with opening(projects) as opened:
            seen.add(opened.records.fingerprint)
    assert len(seen) == 1
