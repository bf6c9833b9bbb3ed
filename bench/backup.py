"""A backup while rows come in: how long it takes, what it weighs, and whether ingest feels it.

    python bench/backup.py --rows 200000 --json FILE

Beside it, the same instant as a copy of the file itself, after a checkpoint and with no writer
meanwhile: what a user without `recalld backup` would do. That copy is larger than what is in it: it
takes along the room of what was deleted, with its bytes.
"""

from __future__ import annotations

import argparse
import resource
import shutil
import statistics
import tempfile
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from corpus import Corpus, add_options, open_corpus, options_of
from load import Loader
from recall_daemon.backup import restore
from recall_daemon.backup.archive import make_archive
from recall_daemon.backup.backup import pack
from recall_daemon.jobs import Progress
from recall_daemon.settings import HubSettings
from recall_daemon.store import ledger
from recall_daemon.store.copy import copy_store
from recall_daemon.store.store import Store
from recall_wire.buckets import open_bucket
from report import machine, progress, publish

SPACE_ID = "corpus@1:384"
HUB = "0123456789ab"
BATCH_ROWS = 100
PAUSE_S = 0.5
QUIET_S = 10.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    add_options(parser)
    parser.add_argument("--rows", type=int, default=200_000)
    arguments = parser.parse_args()
    corpus = open_corpus(options_of(arguments))
    with tempfile.TemporaryDirectory(prefix="recall-backup-") as name:
        result = measure(corpus, arguments.rows, Path(name))
    told = {"benchmark": "backup", "machine": machine(("duckdb",))}
    publish({**told, "corpus": corpus.describe(arguments.rows), **result}, arguments.json)


def measure(corpus: Corpus, rows: int, folder: Path) -> dict[str, Any]:
    (folder / "bucket").mkdir()
    bucket = open_bucket(f"file://{folder / 'bucket'}")
    store = Store(folder / "hub")
    store.write(lambda connection: ledger.set_fact(connection, "hub_id", HUB))
    loader = Loader(store, SPACE_ID, corpus)
    loader.fill(0, rows, datetime(2026, 1, 1, tzinfo=UTC))
    writer = Writer(loader, rows)
    quiet = writer.during(lambda: time.sleep(QUIET_S))
    progress("copying")
    copy = folder / "copy.duckdb"
    copying = writer.during(lambda: copy_store(store, copy))
    progress("packing")
    packing = timed(lambda: pack(copy, folder / "packed", lambda: None))
    plain = timed(lambda: shutil.copyfile(store.path, folder / "plain.duckdb"))
    archive = make_archive(
        HubSettings(data_dir=folder / "hub"), store, bucket, now=lambda: datetime.now(UTC)
    )
    progress("backing up")
    whole = writer.during(lambda: archive.backups.run(Progress()))
    store.close()
    progress("restoring")
    restoring = timed(
        lambda: restore.prepare(bucket, folder / "new", hub_id=HUB, to=None, memory_bytes=1 << 30)
    )
    return {
        "rows": rows,
        "ingest_quiet": quiet,
        "copy": {**copying, "bytes": copy.stat().st_size},
        "pack": {"seconds": packing, "bytes": (folder / "packed").stat().st_size},
        "copy_of_the_file": {"seconds": plain, "bytes": (folder / "plain.duckdb").stat().st_size},
        "backup": whole,
        "restore_s": restoring,
        "peak_rss_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
    }


class Writer:
    """Merges `BATCH_ROWS` rows, and waits `PAUSE_S`, over and over, while something else runs."""

    def __init__(self, loader: Loader, start: int) -> None:
        self._loader = loader
        self._next = start

    def during(self, work: Callable[[], object]) -> dict[str, Any]:
        """How long `work` took, and each merge meanwhile."""
        stop, seconds = threading.Event(), []

        def merge() -> None:
            while not stop.is_set():
                first, self._next = self._next, self._next + BATCH_ROWS
                now = datetime.now(UTC)
                seconds.append(timed(partial(self._loader.merge, first, self._next, now)))
                stop.wait(PAUSE_S)

        thread = threading.Thread(target=merge)
        thread.start()
        try:
            took = timed(work)
        finally:
            stop.set()
            thread.join()
        p50 = statistics.median(seconds)
        return {
            "seconds": took,
            "merges": len(seconds),
            "merge_p50_s": p50,
            "merge_max_s": max(seconds),
        }


def timed(work: Callable[[], object]) -> float:
    began = time.monotonic()
    work()
    return round(time.monotonic() - began, 3)


if __name__ == "__main__":
    main()
