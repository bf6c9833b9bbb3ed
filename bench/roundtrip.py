"""Real databases through the whole way and back, checked row by row; prints JSON.

`bench/roundtrip.py FILE…`: each Session-Buddy file (with its `.wal`) becomes one system: `recall
upload` → folder bucket → `recalld once`. Then for each file: the rows DuckDB itself finds in it,
the rows the hub holds, how many texts are the same byte for byte, and for how many rows a sentence
of theirs finds first a row that holds it (`sentence_first`), and the very row where no other row
holds the sentence (`own_row_first`). At last everything again: nothing may be written.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import duckdb

from recall_daemon.core import Core, open_core
from recall_daemon.search.query import SearchRequest
from recall_daemon.settings import HubSettings

BIN = Path(sys.executable).parent
TABLES = ("conversations_v2", "reflections_v2", "conversations", "reflections")
_SENTENCE_END = re.compile(r"(?<=[.!?])\s+|\n+")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("files", type=Path, nargs="+")
    files = parser.parse_args().files
    with tempfile.TemporaryDirectory() as name:
        print(json.dumps(roundtrip(files, Path(name)), indent=2))


def roundtrip(files: list[Path], folder: Path) -> dict[str, Any]:
    sources = {f"system-{number}": file for number, file in enumerate(files)}
    uploads = {name: upload(name, file, folder) for name, file in sources.items()}
    run(folder, "", "recalld", "once")
    settings = HubSettings(data_dir=folder / "hub")
    with open_core(settings) as core:
        core.embedder.get()
        core.follow()
        results = [
            {"file": file.name, "uploaded": uploads[name]["rows"]}
            | compare(core, name, rows_of(file, folder))
            for name, file in sources.items()
        ]
    before = modified(folder / "bucket")
    again = {name: upload(name, file, folder)["status"] for name, file in sources.items()}
    once = json.loads(run(folder, "", "recalld", "once", "--json"))
    return {
        "benchmark": "roundtrip",
        "files": results,
        "second_upload": sorted(set(again.values())),
        "second_once": {key: once[key] for key in ("merged", "changed_rows", "pending")},
        "objects_written_by_the_second_run": sum(
            before.get(path) != when for path, when in modified(folder / "bucket").items()
        ),
        "verify": json.loads(run(folder, "", "recalld", "verify", "--json"))["ok"],
    }


def upload(system_id: str, file: Path, folder: Path) -> dict[str, Any]:
    answer = run(folder, system_id, "recall", "upload", str(file), "--json")
    return dict(json.loads(answer))


def run(folder: Path, system_id: str, *command: str) -> str:
    clean = {k: v for k, v in os.environ.items() if not k.startswith("RECALL")}
    settings = {
        "RECALL_BUCKET_URL": f"file://{folder / 'bucket'}",
        "RECALLD_BUCKET_URL": f"file://{folder / 'bucket'}",
        "RECALL_SYSTEM_ID": system_id,
        "RECALL_REDACT": "false",  # so that texts can be compared byte for byte
        "RECALL_STATE_DIR": str(folder / "state" / system_id),
        "RECALLD_DATA_DIR": str(folder / "hub"),
    }
    done = subprocess.run(
        [BIN / command[0], *command[1:]],
        env=clean | settings,
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    return done.stdout


def modified(folder: Path) -> dict[Path, int]:
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}


def rows_of(file: Path, folder: Path) -> dict[str, str | None]:
    """Every id and text, as DuckDB itself reads them from a copy."""
    copy = folder / "copy.duckdb"
    shutil.copyfile(file, copy)
    log = file.with_name(file.name + ".wal")
    copied_log = folder / "copy.duckdb.wal"
    copied_log.unlink(missing_ok=True)
    if log.exists():
        shutil.copyfile(log, copied_log)
    with duckdb.connect(":memory:") as connection:
        connection.execute(f"ATTACH '{copy}' AS source (READ_ONLY)")
        there = connection.execute(
            "SELECT table_name FROM information_schema.tables WHERE table_catalog = 'source'"
        ).fetchall()
        names = [name for name in TABLES if (name,) in there]
        found = [
            connection.execute(f"SELECT id, content FROM source.{n}").fetchall() for n in names
        ]
    return {memory_id: text for rows in found for memory_id, text in rows}


def compare(core: Core, system_id: str, rows: dict[str, str | None]) -> dict[str, int]:
    with core.store.read() as connection:
        held = dict(
            connection.execute(
                "SELECT memory_id, text FROM memories WHERE state = 'live' AND system_id = ?",
                [system_id],
            ).fetchall()
        )
    same = sum(held.get(memory_id, ...) == text for memory_id, text in rows.items())
    first = own = asked = unique = 0
    for memory_id, text in rows.items():
        for sentence in sentences(text or ""):
            holders = {other for other, whole in rows.items() if sentence in (whole or "")}
            request = SearchRequest(sentence, system=(system_id,), limit=1)
            hits = core.operations.search(request)["hits"]
            found = hits[0]["memory_id"] if hits else None
            asked, first = asked + 1, first + (found in holders)
            if holders == {memory_id}:
                unique, own = unique + 1, own + (found == memory_id)
    return {
        "rows": len(rows),
        "rows_in_the_hub": len(held),
        "texts_byte_for_byte": same,
        "sentences": asked,
        "sentence_first": first,
        "sentences_of_one_row_only": unique,
        "own_row_first": own,
    }


def sentences(text: str) -> list[str]:
    """The first, the longest and the last sentence of at least four words."""
    found = [s.strip() for s in _SENTENCE_END.split(text) if len(s.split()) >= 4]
    return list(dict.fromkeys([found[0], max(found, key=len), found[-1]])) if found else []


if __name__ == "__main__":
    main()
