"""The store's one writer: shared commits, and checkpoints that nobody waits for; prints JSON.

    python bench/store.py --rows 1000000 --json FILE

Commits: threads that each make one small row durable after the other, with commits shared as the
hub does and with one for each, on the same store. Checkpoints: rows with vectors come in, one
thread edits single memories anywhere in the table, one reads 20 rows by id, as a search does for a
page; once with the hub's own checkpoints, once with DuckDB's automatic ones (16 MiB, its default),
each in a process of its own on a copy of one store. A stall is the longest that one read or edit
took.
"""

from __future__ import annotations

import argparse
import multiprocessing as mp
import os
import random
import shutil
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa

from corpus import NEWEST, SYSTEM_ROWS, Corpus, add_options, open_corpus, options_of
from load import Loader
from processes import memory
from recall_daemon.embed.choose import open_embedder
from recall_daemon.store import journal, writer
from recall_daemon.store.ledger import Place
from recall_daemon.store.memories import by_row_ids
from recall_daemon.store.merge import merge_rows
from recall_daemon.store.store import Connection, Store
from recall_wire.records import text_hash
from report import machine, percentiles, progress, publish
from sources import Options

PAGE_ROWS = 20
DUCKDB_THRESHOLD = "16MiB"
_LATER = 1_000_000_000  # a place after every snapshot that filled the store
_LOOK_S = 0.01


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    add_options(parser)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--threads", type=int, default=16, help="that commit at once")
    parser.add_argument("--seconds", type=float, default=20, help="of ingest for each side")
    parser.add_argument("--ingest-rows-per-s", type=int, default=4_000)
    arguments = parser.parse_args()
    options = options_of(arguments)
    corpus = open_corpus(options)
    with tempfile.TemporaryDirectory(prefix="recall-store-") as name:
        bench = Bench(Path(name), options, arguments)
        bench.fill()
        result = {
            "reads": bench.on_a_copy(_reads),
            "commits": bench.on_a_copy(_commits),
            "checkpoints": {
                "recalld": bench.on_a_copy(_own_checkpoints),
                "duckdb_automatic": bench.on_a_copy(_automatic_checkpoints),
            },
        }
    publish(
        {
            "benchmark": "store",
            "machine": machine(("duckdb",)),
            "corpus": corpus.describe(arguments.rows),
            **result,
        },
        arguments.json,
    )


class Bench:
    """One store that is filled once; each measurement has a copy and a process of its own."""

    def __init__(self, folder: Path, options: Options, arguments: argparse.Namespace) -> None:
        self._folder, self._options, self._arguments = folder, options, arguments

    def fill(self) -> None:
        _in_process(_fill, self._folder / "filled", self._options, self._arguments)

    def on_a_copy(self, measure: Callable[..., dict[str, Any]]) -> dict[str, Any]:
        progress(measure.__name__.strip("_").replace("_", " "))
        copy = self._folder / "copy"
        shutil.copytree(self._folder / "filled", copy)
        try:
            return _in_process(measure, copy, self._options, self._arguments)
        finally:
            shutil.rmtree(copy)


def _in_process(work: Callable[..., dict[str, Any]], *given: object) -> dict[str, Any]:
    with ProcessPoolExecutor(1, mp_context=mp.get_context("spawn")) as pool:
        return pool.submit(work, *given).result()


@contextmanager
def _opened(folder: Path, options: Options) -> Iterator[tuple[Store, Loader]]:
    corpus = open_corpus(options)
    store = Store(folder)
    try:
        space = open_embedder("hash", data_dir=folder).space
        yield store, Loader(store, space.space_id, corpus)
    finally:
        store.close()


def _fill(folder: Path, options: Options, given: argparse.Namespace) -> dict[str, Any]:
    with _opened(folder, options) as (_, loader):
        loader.fill(0, given.rows, NEWEST)
    return {}


def _reads(folder: Path, options: Options, given: argparse.Namespace) -> dict[str, Any]:
    chance = random.Random(options.seed)
    with _opened(folder, options) as (store, _):
        _read_page(store, chance, given.rows)  # the first one reads the catalog
        seconds = [_timed(lambda: _read_page(store, chance, given.rows)) for _ in range(500)]
        return {"rows_by_id": PAGE_ROWS, **percentiles(seconds), **_resident()}


def _commits(folder: Path, options: Options, given: argparse.Namespace) -> dict[str, Any]:
    """Both ways in turn, twice, so that neither has the fresher store; the better of each."""
    ways = {"shared": writer.GROUP_WORKS, "one_each": 1}
    found: dict[str, dict[str, float]] = {}
    with _opened(folder, options) as (store, _):
        for _ in range(2):
            for name, works in ways.items():
                writer.GROUP_WORKS = works
                one = _commit(store, given.threads, min(3.0, given.seconds))
                if name not in found or one["writes_per_s"] > found[name]["writes_per_s"]:
                    found[name] = one
    ratio = found["shared"]["writes_per_s"] / found["one_each"]["writes_per_s"]
    return {"threads": given.threads, **found, "shared_to_one_each": round(ratio, 2)}


def _commit(store: Store, threads: int, seconds: float) -> dict[str, float]:
    """One row of the journal after the other, as a forget or another write by the port leaves."""
    took: list[float] = []
    ends = time.perf_counter() + seconds

    def work() -> None:
        while time.perf_counter() < ends:
            took.append(_timed(lambda: store.write(_note)))

    _together([work] * threads)
    return {"writes_per_s": round(len(took) / seconds, 1), **percentiles(took)}


def _own_checkpoints(folder: Path, options: Options, given: argparse.Namespace) -> dict[str, Any]:
    with _opened(folder, options) as (store, loader):
        return _under_load(store, loader, given)


def _automatic_checkpoints(
    folder: Path, options: Options, given: argparse.Namespace
) -> dict[str, Any]:
    with _opened(folder, options) as (store, loader):
        store._writer._due_bytes = store._writer._wait_bytes = sys.maxsize
        with store.read() as connection:
            connection.execute(f"SET GLOBAL checkpoint_threshold = '{DUCKDB_THRESHOLD}'")
        return _under_load(store, loader, given)


def _under_load(store: Store, loader: Loader, given: argparse.Namespace) -> dict[str, Any]:
    load = Load(store, loader, given)
    _together([load.ingest, load.edit, load.read, load.watch_log])
    return load.found()


class Load:
    """Threads beside each other for some seconds, and what each of them saw."""

    def __init__(self, store: Store, loader: Loader, given: argparse.Namespace) -> None:
        self._store, self._loader, self._rows = store, loader, given.rows
        self._per_s, self._seconds = given.ingest_rows_per_s, given.seconds
        self._edits = Edits(store, loader.corpus, given.rows)
        self._ends = time.perf_counter() + given.seconds
        self._ingested, self._log_bytes, self._checkpoints = 0, 0, 0
        self._took_edit: list[float] = []
        self._took_read: list[float] = []

    def ingest(self) -> None:
        batch = max(1, self._per_s // 4)
        started = time.perf_counter()
        while self._is_on():
            start = self._rows + self._ingested
            self._loader.merge(start, start + batch, NEWEST)
            self._ingested += batch
            due = started + self._ingested / self._per_s
            time.sleep(max(0.0, due - time.perf_counter()))

    def edit(self) -> None:
        while self._is_on():
            self._took_edit.append(_timed(self._edits.one))
            time.sleep(_LOOK_S)

    def read(self) -> None:
        chance = random.Random(1)
        while self._is_on():
            self._took_read.append(_timed(lambda: _read_page(self._store, chance, self._rows)))
            time.sleep(_LOOK_S)

    def watch_log(self) -> None:
        log, before = self._store.path.with_name(self._store.path.name + ".wal"), 0
        while self._is_on():
            size = log.stat().st_size if log.exists() else 0
            self._checkpoints += size < before
            self._log_bytes, before = max(self._log_bytes, size), size
            time.sleep(_LOOK_S)

    def found(self) -> dict[str, Any]:
        return {
            "ingested_rows_per_s": round(self._ingested / self._seconds, 1),
            "checkpoints": self._checkpoints,
            "log_bytes_at_most": self._log_bytes,
            "read": {**percentiles(self._took_read), "longest_ms": _longest(self._took_read)},
            "edit": {**percentiles(self._took_edit), "longest_ms": _longest(self._took_edit)},
            **_resident(),
        }

    def _is_on(self) -> bool:
        return bool(time.perf_counter() < self._ends)


class Edits:
    """One memory after the other, anywhere in the table, gets another text. Thread-safe."""

    def __init__(self, store: Store, corpus: Corpus, rows: int) -> None:
        self._store, self._rows = store, rows
        self._template = corpus.rows(0, 1)
        self._chance, self._lock, self._made = random.Random(2), threading.Lock(), 0

    def one(self) -> None:
        with self._lock:
            self._made += 1
            made, number = self._made, self._chance.randrange(self._rows)
        text = f"edit {made} of memory {number}"
        values = {"memory_id": f"{number:010d}", "text": text, "text_hash": text_hash(text)}
        row = self._template
        for name, value in values.items():
            row = row.set_column(row.column_names.index(name), name, pa.array([value]))
        place = Place(f"system-{number // SYSTEM_ROWS}", _LATER + made)
        self._store.write(lambda connection: _merge_one(connection, place, row))


def _note(connection: Connection) -> int:
    return journal.append(connection, "bench", {"identities": []}, NEWEST)


def _merge_one(connection: Connection, place: Place, row: pa.Table) -> None:
    merge_rows(connection, place, row, NEWEST)


def _read_page(store: Store, chance: random.Random, rows: int) -> None:
    with store.read() as connection:
        by_row_ids(connection, [chance.randrange(rows) + 1 for _ in range(PAGE_ROWS)])


def _timed(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def _longest(seconds: list[float]) -> float:
    return round(1000 * max(seconds), 1)


def _resident() -> dict[str, int]:
    return {"peak_rss_bytes": memory(os.getpid(), "VmHWM")}


def _together(works: list[Callable[[], None]]) -> None:
    """Each in a thread of its own; raises what the first that failed raised."""
    failures: list[BaseException] = []

    def guarded(work: Callable[[], None]) -> None:
        try:
            work()
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=guarded, args=(work,)) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]


if __name__ == "__main__":
    main()
