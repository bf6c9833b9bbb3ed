"""The hub's port under load: searches, posts, and clients that mean no good.

    python bench/serve.py --rows 200000 --json FILE

`recalld run` as a process over a store of the corpus. Searches by 1, 16 and 64 clients, each with a
question of its own (a sentence of the corpus, so that its embedding is part of the time), while a
snapshot of `--ingest` rows a second comes in through the bucket, its vectors along with it. Then
searches by one client alone, beside slow clients, endless bodies and idle connections: `ratio` is
the p99 over that of before. Then posts without anything else but the embedding of what is posted:
one memory a request, and batches; each durable when it is answered. Last, `--kills` rounds of
kill -9 right after an acknowledgement. The hub has aged and backed up its rows before.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import resource
import tempfile
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa

import http_clients
from corpus import NEWEST, Corpus, add_options, open_corpus, options_of
from daemon_process import DaemonProcess, settle
from http_clients import Address, Answers, Body
from load import Loader
from publishing import publish_snapshot
from recall_daemon.core import open_core
from recall_daemon.settings import HubSettings
from recall_wire.buckets import open_bucket
from recall_wire.manifest import EmbeddingSpace
from recall_wire.records import RECORD_SCHEMA
from report import machine, percentiles, progress, publish
from restart import in_process
from sources import Options
from unkind import endless, idle, slow, unkind

CLIENTS = (1, 16, 64)
BATCHES = (10, 100, 1_000)
IDLE_CONNECTIONS = 10_000
UNKIND = 64
LIMIT_S = 1_800.0
QUERY_WORDS = 8


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    add_options(parser)
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument("--ingest", type=int, default=200, help="rows a second beside the searches")
    parser.add_argument("--seconds", type=float, default=20.0, help="for each measurement")
    parser.add_argument("--idle", type=int, default=IDLE_CONNECTIONS)
    parser.add_argument("--kills", type=int, default=200)
    arguments = parser.parse_args()
    options = options_of(arguments)
    corpus = open_corpus(options)
    with tempfile.TemporaryDirectory(prefix="recall-serve-") as name:
        bench = Serve(Path(name), options, corpus, arguments)
        result = bench.measure()
    publish(
        {
            "benchmark": "serve",
            "machine": machine(("duckdb", "fastapi", "uvicorn")),
            "corpus": corpus.describe(arguments.rows),
            **result,
        },
        arguments.json,
    )


class Serve:
    """A hub in a folder, its daemon, and a bucket that an instance writes into."""

    def __init__(
        self, folder: Path, options: Options, corpus: Corpus, arguments: argparse.Namespace
    ) -> None:
        self._hub, self._bucket = folder / "hub", folder / "bucket"
        self._bucket.mkdir()
        self._options, self._corpus = options, corpus
        self._rows, self._seconds = int(arguments.rows), float(arguments.seconds)
        self._ingest, self._idle, self._kills = arguments.ingest, arguments.idle, arguments.kills
        self._next = itertools.count()
        self._environment = {
            "RECALLD_BUCKET_URL": f"file://{self._bucket}",
            "RECALLD_EMBEDDER": options.embedder,
            "RECALLD_POLL_INTERVAL_S": "1",
            "RECALLD_RATE_PER_MINUTE": "0",
            "RECALLD_COLD_AFTER_S": "1e9",
        }

    def measure(self) -> dict[str, Any]:
        progress(f"filling a store with {self._rows} rows")
        in_process(_build, self._options, self._hub, self._rows)
        progress("what is due once is done")
        settle(self._hub, self._environment, LIMIT_S)
        with self._daemon() as (daemon, address):
            daemon.until(lambda: not daemon.search("warm")["degraded"], LIMIT_S)
            self._run(address, 1, self._search, seconds=min(3.0, self._seconds))
            searches = self._searches(address)
            daemon.until_still(min(1.0, self._seconds))
            beside = self._beside_the_unkind(address)
            posts = self._posts(address)
            resident = daemon.resident()
        return {
            "rows_ingested_a_second_beside_searches": self._ingest,
            "searches": searches,
            "beside_unkind_clients": beside,
            "posts": posts,
            "kills": self._killed() if self._kills else None,
            **resident,
        }

    @contextmanager
    def _daemon(self) -> Iterator[tuple[DaemonProcess, Address]]:
        with ExitStack() as stack:
            daemon = DaemonProcess(self._hub, self._environment)
            stack.callback(daemon.kill)
            daemon.until_ready(LIMIT_S)
            yield daemon, Address.of(daemon.url)

    def _searches(self, address: Address) -> dict[str, Any]:
        found = {}
        with self._ingesting():
            for clients in CLIENTS:
                progress(f"searches by {clients} clients")
                found[f"{clients}_clients"] = _told(self._run(address, clients, self._search))
        return found

    def _posts(self, address: Address) -> dict[str, Any]:
        found = {}
        for clients in CLIENTS:
            progress(f"posts by {clients} clients")
            answers = self._run(address, clients, self._post)
            found[f"single_{clients}_clients"] = _told(answers)
        for size in BATCHES:
            progress(f"batches of {size}")
            answers = self._run(address, 1, lambda n, size=size: self._batch(n, size))  # type: ignore[misc]
            told = _told(answers)
            found[f"batch_of_{size}"] = told | {"memories_a_second": told["a_second"] * size}
        return found

    def _beside_the_unkind(self, address: Address) -> dict[str, Any]:
        def p99(name: str) -> float:
            progress(f"searches by one client: {name}")
            answers = self._run(address, 1, self._search)
            told[name] = _told(answers)
            return float(told[name]["p99_ms"])

        told: dict[str, Any] = {}
        alone = p99("alone")
        with unkind(slow, address, UNKIND):
            told["slow_ratio"] = round(p99("beside_slow") / alone, 2)
        with unkind(endless, address, UNKIND):
            told["endless_ratio"] = round(p99("beside_endless") / alone, 2)
        _allow_files(self._idle + 1_000)
        with unkind(idle, address, self._idle) as connected:
            told["idle_connections"] = connected
            told["idle_ratio"] = round(p99("beside_idle") / alone, 2)
        return told

    def _killed(self) -> dict[str, Any]:
        """A memory that was acknowledged is there after kill -9 at that instant."""
        lost = 0
        with tempfile.TemporaryDirectory(prefix="recall-kill-") as name:
            self._hub = Path(name) / "hub"
            ids: list[str] = []
            for number in range(self._kills):
                if number % 20 == 0:
                    progress(f"kill {number} of {self._kills}")
                with self._daemon() as (daemon, _):
                    lost += sum(not daemon.holds("bench-kill", one) for one in ids[-1:])
                    ids.append(f"kill-{number}")
                    daemon.store("bench-kill", ids[-1], f"acknowledged {number}")
            with self._daemon() as (daemon, _):
                lost += sum(not daemon.holds("bench-kill", one) for one in ids)
        return {"rounds": self._kills, "acknowledged_and_lost": lost}

    def _run(
        self, address: Address, clients: int, body: Body, *, seconds: float | None = None
    ) -> Answers:
        return asyncio.run(http_clients.run(address, clients, seconds or self._seconds, body))

    def _search(self, _: int) -> tuple[str, dict[str, Any]]:
        number = next(self._next)
        texts = self._corpus.sources.texts
        words = texts[number * 7919 % len(texts)].split()
        start = number // len(texts) * QUERY_WORDS % max(len(words) - QUERY_WORDS, 1)
        return "/v1/search", {"query": " ".join(words[start : start + QUERY_WORDS]) or "nothing"}

    def _post(self, _: int) -> tuple[str, dict[str, Any]]:
        return "/v1/memories", {"system": "bench-posts", **self._memory(next(self._next))}

    def _batch(self, _: int, size: int) -> tuple[str, dict[str, Any]]:
        memories = [self._memory(next(self._next)) for _ in range(size)]
        return "/v1/memories/batch", {"system": "bench-posts", "memories": memories}

    def _memory(self, number: int) -> dict[str, Any]:
        texts = self._corpus.sources.texts
        return {"memory_id": f"post-{number}", "text": f"{number} {texts[number % len(texts)]}"}

    @contextmanager
    def _ingesting(self) -> Iterator[None]:
        """A snapshot a second, with vectors of the hub's own space."""
        stop = threading.Event()
        bucket = open_bucket(f"file://{self._bucket}")
        space = _space(self._options)

        def work() -> None:
            for seq in itertools.count(1):
                start = self._rows + (seq - 1) * self._ingest
                rows = _with_vectors(self._corpus, start, start + self._ingest)
                publish_snapshot(bucket, "bench-ingest", seq, rows, embedding=space)
                if stop.wait(1.0):
                    return

        thread = threading.Thread(target=work)
        if self._ingest:
            thread.start()
        try:
            yield
        finally:
            stop.set()
            if self._ingest:
                thread.join()
            bucket.close()


def _with_vectors(corpus: Corpus, start: int, stop: int) -> pa.Table:
    rows = corpus.rows(start, stop).select(RECORD_SCHEMA.names)
    vectors = pa.array(list(corpus.vectors(start, stop)), RECORD_SCHEMA.field("embedding").type)
    at = rows.schema.get_field_index("embedding")
    return rows.set_column(at, RECORD_SCHEMA.field("embedding"), vectors)


def _space(options: Options) -> EmbeddingSpace:
    with tempfile.TemporaryDirectory() as name, open_core(_settings(options, Path(name))) as core:
        embedder = core.embedder.get()
        assert embedder is not None
        return embedder.space


def _told(answers: Answers) -> dict[str, Any]:
    told = percentiles(answers.seconds) if answers.seconds else {}
    return {
        "answered": len(answers.seconds),
        "a_second": round(len(answers.seconds) / answers.wall_s, 1),
        **told,
        **({"refused": answers.refused} if answers.refused else {}),
    }


def _allow_files(count: int) -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(count, hard), hard))


def _build(options: Options, folder: Path, rows: int) -> None:
    corpus = open_corpus(options)
    with open_core(_settings(options, folder)) as core:
        embedder = core.embedder.get()
        assert embedder is not None
        Loader(core.store, embedder.space.space_id, corpus).fill(0, rows, NEWEST)
        core.follow()


def _settings(options: Options, folder: Path) -> HubSettings:
    return HubSettings(data_dir=folder, embedder=options.embedder)


if __name__ == "__main__":
    main()
