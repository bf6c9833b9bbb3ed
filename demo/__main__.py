"""The main job end to end: three databases → bucket → hub → three searches.

Everything lies in one temporary folder, which is removed at the end; `--keep FOLDER` leaves it.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb
from memories import SEARCHES, SYSTEMS, Lesson, Turn

BIN = Path(sys.executable).parent
ON_S3 = """The same against S3 or R2 (credentials by the AWS chain):

  export RECALL_BUCKET_URL=s3://my-bucket RECALLD_BUCKET_URL=s3://my-bucket
  # R2: also RECALL_S3_ENDPOINT_URL and RECALLD_S3_ENDPOINT_URL, and …_S3_REGION=auto
  .venv/bin/recall upload ~/.claude/data/reflection.duckdb     # on each instance
  .venv/bin/recalld run                                        # on the hub
  .venv/bin/recalld search "why do people keep getting signed out"
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="work there and leave it")
    keep = parser.parse_args().keep
    folder = (keep or Path(tempfile.mkdtemp(prefix="recalld-demo-"))).absolute()
    try:
        demo(folder)
    finally:
        if keep is None:
            shutil.rmtree(folder)
    print(f"\nEverything is in {folder}." if keep else "\nNothing was left behind.")


def demo(folder: Path) -> None:
    bucket = folder / "bucket"
    bucket.mkdir(parents=True, exist_ok=True)
    hub = {"RECALLD_BUCKET_URL": f"file://{bucket}", "RECALLD_DATA_DIR": str(folder / "hub")}
    for system_id, rows in SYSTEMS.items():
        source = folder / f"{system_id}.duckdb"
        write_database(source, rows)
        instance = {
            "RECALL_BUCKET_URL": f"file://{bucket}",
            "RECALL_STATE_DIR": str(folder / "state" / system_id),
            "RECALL_SYSTEM_ID": system_id,
        }
        run("recall", ["upload", str(source)], instance)
    run("recalld", ["once"], hub)
    for query in SEARCHES:
        run("recalld", ["search", query, "--limit", "2"], hub)
    run("recalld", ["status"], hub)
    print(ON_S3)


def run(command: str, arguments: Sequence[str], settings: dict[str, str]) -> None:
    """Run a command as a person would, show what it prints, and how long it took."""
    shown = " ".join(f"'{a}'" if " " in a else a for a in arguments)
    print(f"$ {command} {shown}", flush=True)
    started = time.monotonic()
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("RECALL_", "RECALLD_"))}
    done = subprocess.run(
        [BIN / command, *arguments], env=clean | settings, check=False, stderr=subprocess.PIPE
    )
    if done.returncode:
        sys.stderr.buffer.write(done.stderr)
        raise SystemExit(f"demo: {command} {shown} ended with exit code {done.returncode}")
    print(f"  ({time.monotonic() - started:.1f} s)\n", flush=True)


def write_database(path: Path, rows: Sequence[Turn | Lesson]) -> None:
    """A small database with the tables and columns that Session-Buddy writes."""
    path.unlink(missing_ok=True)
    start = datetime.now(UTC).replace(tzinfo=None, microsecond=0) - timedelta(days=1)
    with duckdb.connect(str(path)) as connection:
        connection.execute(
            "CREATE TABLE conversations_v2 (id VARCHAR PRIMARY KEY, content VARCHAR, "
            "embedding FLOAT[384], category VARCHAR, importance_score FLOAT, project VARCHAR, "
            "namespace VARCHAR, timestamp TIMESTAMP, session_id VARCHAR, metadata VARCHAR)"
        )
        connection.execute(
            "CREATE TABLE reflections_v2 (id VARCHAR PRIMARY KEY, content VARCHAR, "
            "embedding FLOAT[384], tags VARCHAR[], importance_score FLOAT, project VARCHAR, "
            "namespace VARCHAR, created_at TIMESTAMP, updated_at TIMESTAMP, insight_type VARCHAR)"
        )
        for number, row in enumerate(rows):
            when = start + timedelta(minutes=7 * number)
            memory_id = f"{path.stem}-{number:02d}"
            if isinstance(row, Turn):
                connection.execute(
                    "INSERT INTO conversations_v2 VALUES (?, ?, NULL, 'context', 0.5, ?, "
                    "'default', ?, ?, '{}')",
                    [memory_id, row.content, row.project, when, row.session_id],
                )
            else:
                connection.execute(
                    "INSERT INTO reflections_v2 VALUES (?, ?, NULL, ?, 0.5, ?, 'default', ?, ?, "
                    "'best_practice')",
                    [memory_id, row.content, list(row.tags), row.project, when, when],
                )


if __name__ == "__main__":
    main()
