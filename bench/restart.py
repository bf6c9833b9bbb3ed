"""How long a killed hub takes to be ready again, on a store with its index on disk.

    python bench/restart.py --rows 1000000 --json FILE

A store's vectors lie in one segment, but for those of its tail; a hub that is killed in the middle
of a large load has more of them to read again. Each round: a process takes rows in that no index
has seen, and dies by kill -9 at once, so that the store's log has to be replayed and the index has
to catch up; the hub's files are dropped from the system's cache; `recalld run` is started, and the
clock stops when `/readyz` says ready, when the first search is answered, the last row that came in
is found, and a search goes by meaning, too (the model is loaded by then). Then it is killed.
Libraries and model stay in the system's cache, unless `--drop-all` empties it (root only).
"""

from __future__ import annotations

import argparse
import multiprocessing as mp
import os
import signal
import statistics
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from corpus import NEWEST, Corpus, add_options, open_corpus, options_of
from daemon_process import DaemonProcess
from load import Loader
from recall_daemon.core import open_core
from recall_daemon.settings import HubSettings
from report import folder_bytes, machine, progress, publish
from sources import Options

READY_S = 5.0
LIMIT_S = 1_800.0
LOOK_S = 0.1
STILL_LOOKS = 20


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    add_options(parser)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--behind", type=int, default=1_000, help="rows the index has not seen")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--drop-all", action="store_true", help="empty the system's cache")
    arguments = parser.parse_args()
    options = options_of(arguments)
    corpus = open_corpus(options)
    with tempfile.TemporaryDirectory(prefix="recall-restart-") as name:
        bench = Restart(Path(name), options, arguments.rows, arguments.behind, arguments.drop_all)
        result = bench.measure(corpus, arguments.rounds)
    publish(
        {
            "benchmark": "restart",
            "machine": machine(("duckdb", "faiss-cpu", "tantivy")),
            "corpus": corpus.describe(arguments.rows),
            **result,
        },
        arguments.json,
    )


class Restart:
    """A hub in a folder that is killed and started again."""

    def __init__(
        self, folder: Path, options: Options, rows: int, behind: int, drop_all: bool
    ) -> None:
        self._hub, self._bucket = folder / "hub", folder / "bucket"
        self._bucket.mkdir()
        self._options, self._rows, self._behind = options, rows, behind
        self._drop_all = drop_all
        self._environment = {
            "RECALLD_BUCKET_URL": f"file://{self._bucket}",
            "RECALLD_EMBEDDER": options.embedder,
        }

    def measure(self, corpus: Corpus, rounds: int) -> dict[str, Any]:
        progress(f"filling a store with {self._rows} rows")
        in_process(_build, self._options, self._hub, self._rows)
        progress("first start: what a new data folder needs once")
        self._round(corpus, self._rows - 1)
        found = [self._killed_round(corpus, number) for number in range(rounds)]
        ready = statistics.median(one["ready_s"] for one in found)
        return {
            "rounds": rounds,
            "rows_not_seen_by_the_index": self._behind,
            "system_cache": "emptied" if self._drop_all else "without the hub's files",
            "median": {name: _median(found, name) for name in found[0]},
            "ready_s_per_round": [round(one["ready_s"], 2) for one in found],
            "disk_bytes": folder_bytes(self._hub),
            "budget_ready_s": READY_S,
            "within_budget": ready <= READY_S,
        }

    def _killed_round(self, corpus: Corpus, number: int) -> dict[str, float]:
        start = self._rows + number * self._behind
        progress(f"round {number + 1}: {self._behind} rows come in, kill -9, start")
        in_process(_add_and_die, self._options, self._hub, start, start + self._behind)
        self._forget_pages()
        return self._round(corpus, start + self._behind - 1)

    def _round(self, corpus: Corpus, last_row: int) -> dict[str, float]:
        query = corpus.sources.questions[0]
        (last,) = corpus.rows(last_row, last_row + 1).select(["memory_id", "text"]).to_pylist()
        with ExitStack() as stack:
            daemon = DaemonProcess(self._hub, self._environment)
            stack.callback(daemon.kill)
            seconds = {
                "ready_s": daemon.until_ready(LIMIT_S),
                "first_search_s": daemon.until(lambda: daemon.search(query)["hits"], LIMIT_S),
                "last_row_found_s": daemon.until(lambda: _finds(daemon, last), LIMIT_S),
                "search_by_meaning_s": daemon.until(
                    lambda: not daemon.search(query)["degraded"], LIMIT_S
                ),
            }
            return seconds | daemon.resident()

    def _forget_pages(self) -> None:
        os.sync()
        if self._drop_all:
            Path("/proc/sys/vm/drop_caches").write_text("3")
            return
        for path in self._hub.rglob("*"):
            if path.is_file():
                with path.open("rb") as file:
                    os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def _finds(daemon: DaemonProcess, row: dict[str, str]) -> bool:
    hits = daemon.search(row["text"])["hits"]
    return row["memory_id"] in [hit["memory_id"] for hit in hits]


def _median(found: list[dict[str, float]], name: str) -> float:
    value = statistics.median(one[name] for one in found)
    return round(value, 2) if name.endswith("_s") else round(value)


def in_process(work: Callable[..., None], *arguments: object) -> None:
    """Run it in a process of its own, so that nothing of it stays in memory here."""
    process = mp.get_context("spawn").Process(target=work, args=arguments)
    process.start()
    process.join()
    if process.exitcode not in (0, -signal.SIGKILL):
        raise RuntimeError(f"{work.__name__} ended with {process.exitcode}")


def _build(options: Options, folder: Path, rows: int) -> None:
    corpus = open_corpus(options)
    with open_core(_settings(options, folder)) as core:
        _loader(core, corpus).fill(0, rows, NEWEST)
        core.follow()
        # As a hub that had the time: a segment that is not whole yet would be begun in each round.
        # One is begun right after another, as long as there is a full tail.
        still = 0
        while still < STILL_LOOKS:
            time.sleep(LOOK_S)
            still = 0 if core.index.counts.sealing else still + 1


def _add_and_die(options: Options, folder: Path, start: int, stop: int) -> None:
    corpus = open_corpus(options)
    with open_core(_settings(options, folder)) as core:
        _loader(core, corpus).fill(start, stop, NEWEST)
        os.kill(os.getpid(), signal.SIGKILL)


def _settings(options: Options, folder: Path) -> HubSettings:
    return HubSettings(data_dir=folder, embedder=options.embedder)


def _loader(core: Any, corpus: Corpus) -> Loader:
    embedder = core.embedder.get()
    assert embedder is not None
    return Loader(core.store, embedder.space.space_id, corpus)


if __name__ == "__main__":
    main()
