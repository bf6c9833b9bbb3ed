"""A large memory database into Parquet, beside what a user would pick instead; prints JSON.

`bench/extraction.py [--mib N] [--rounds N]`: a Session-Buddy DuckDB file of N MiB (2,048) is made,
then each program reads it in a process of its own: `recall upload` into a folder bucket (a copy of
the file, every row hashed and remembered, snapshots spooled and delivered), DuckDB's own `COPY …
TO` Parquet with its defaults, and pandas through `df().to_parquet()`, all without the vectors.
Memory is the process's peak, not over anything.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import venv
from pathlib import Path
from statistics import median
from typing import Any

import duckdb

from processes import MIB, Usage, watch

RSS_BUDGET_MIB = 256
BATCH_ROWS = 20_000
OURS = "recall upload"
REPOSITORY = Path(__file__).parent.parent

# About 200 words a row, as in a chat: text that compresses like text, vectors that do not.
_CREATE = """
SET VARIABLE words = (SELECT list(left(md5(i::VARCHAR), 3 + i % 6)) FROM range(4096) t(i));
CREATE TABLE conversations_v2 (
    id VARCHAR PRIMARY KEY, content VARCHAR NOT NULL, embedding FLOAT[384], project VARCHAR,
    namespace VARCHAR, session_id VARCHAR, user_id VARCHAR, searchable_content VARCHAR,
    timestamp TIMESTAMP, created_at TIMESTAMP, updated_at TIMESTAMP, metadata JSON
);
"""
_FILL = """
INSERT INTO conversations_v2
SELECT 'c' || i, content, embedding, 'project-' || i % 17, 'default', 'session-' || i // 40, 'me',
    NULL, said, said, said, '{"turn": ' || i % 40 || '}'
FROM (
    SELECT i, TIMESTAMP '2026-01-01' + INTERVAL (i) SECOND AS said,
        array_to_string(list_transform(range(200), lambda k:
            getvariable('words')[(hash(i * 1000 + k) % 4096 + 1)::BIGINT]), ' ') AS content,
        list_transform(range(384), lambda k: (hash(r.i * 1000 + k) % 65536 / 32768.0 - 1)::FLOAT)
            ::FLOAT[384] AS embedding
    FROM range(?, ?) r(i)
)
"""
_COLUMNS = "* EXCLUDE (embedding)"
_COPY = """
import sys, duckdb
duckdb.connect(sys.argv[1], read_only=True).execute(
    "COPY (SELECT {columns} FROM conversations_v2) TO '" + sys.argv[2] + "' (FORMAT parquet)"
)
"""
_PANDAS = """
import sys, duckdb
rows = duckdb.connect(sys.argv[1], read_only=True).sql("SELECT {columns} FROM conversations_v2")
rows.df().to_parquet(sys.argv[2])
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mib", type=int, default=2048)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="recall-extraction-") as name:
        folder = Path(name)
        # Without the hub's libraries, as on an instance: pyarrow loads numpy where it finds it.
        instance = _install(folder / "instance", str(REPOSITORY))
        pandas = _install(folder / "pandas", "pandas", "pyarrow", "duckdb", "pytz")
        source, rows = make_source(folder / "source.duckdb", options.mib)
        found: dict[str, list[Usage]] = {OURS: [], "duckdb COPY": [], "pandas": []}
        for _ in range(options.rounds):
            found[OURS].append(recall(instance.with_name("recall"), source, rows, folder))
            for label, python, code in (
                ("duckdb COPY", Path(sys.executable), _COPY),
                ("pandas", pandas, _PANDAS),
            ):
                found[label].append(foreign(python, code, source, folder / "out.parquet"))
        sizes = {"source_mib": round(source.stat().st_size / MIB), "rows": rows}
    print(json.dumps({"benchmark": "extraction"} | sizes | report(found, rows), indent=2))


def make_source(path: Path, mib: int) -> tuple[Path, int]:
    rows = 0
    with duckdb.connect(str(path)) as connection:
        connection.execute(_CREATE)
        while path.stat().st_size < mib * MIB:
            connection.execute(_FILL, [rows, rows + BATCH_ROWS])
            connection.execute("CHECKPOINT")
            rows += BATCH_ROWS
    return path, rows


def recall(command: Path, source: Path, rows: int, folder: Path) -> Usage:
    """A first upload: everything is new. Raises `ValueError` where not every row was delivered."""
    state, bucket = folder / "state", folder / "bucket"
    for old in (state, bucket):
        shutil.rmtree(old, ignore_errors=True)
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("RECALL", "PYTHONPATH"))}
    environment = clean | {
        "RECALL_BUCKET_URL": bucket.as_uri(),
        "RECALL_STATE_DIR": str(state),
        "RECALL_SYSTEM_ID": "bench",
    }
    bucket.mkdir()
    used = watch([command, "upload", source, "--json"], environment)
    manifests = bucket.glob("systems/bench/snapshots/*/manifest.json")
    delivered = sum(json.loads(path.read_bytes())["rows"] for path in manifests)
    if delivered != rows:
        raise ValueError(f"{delivered} of {rows} rows were delivered")
    return used


def foreign(python: Path, code: str, source: Path, target: Path) -> Usage:
    used = watch([python, "-c", code.format(columns=_COLUMNS), source, target], os.environ)
    target.unlink()
    return used


def _install(folder: Path, *wanted: str) -> Path:
    """The Python of a new environment with these, in the versions that the project pins."""
    venv.create(folder, with_pip=True)
    quiet = ("--quiet", "--quiet", "--disable-pip-version-check")
    pins = ("--constraint", str(REPOSITORY / "constraints.txt"))
    subprocess.run([folder / "bin/pip", "install", *quiet, *pins, *wanted], check=True)
    return folder / "bin/python"


def report(found: dict[str, list[Usage]], rows: int) -> dict[str, Any]:
    figures = {
        name: {
            "wall_s": round(median(each.wall_s for each in used), 2),
            "cpu_s": round(median(each.cpu_s for each in used), 2),
            "rows_per_s": round(rows / median(each.wall_s for each in used)),
            "peak_rss_mib": round(max(each.peak_rss_bytes for each in used) / MIB, 1),
        }
        for name, used in found.items()
    }
    return {
        "programs": figures,
        "peak_rss_ours_divided_by": {
            name: round(figures[OURS]["peak_rss_mib"] / figures[name]["peak_rss_mib"], 3)
            for name in figures
            if name != OURS
        },
        "within_budget": {"rss": figures[OURS]["peak_rss_mib"] <= RSS_BUDGET_MIB},
    }


if __name__ == "__main__":
    main()
