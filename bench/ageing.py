"""Ageing into an S3 server while searches go on, then searches whose every hit is cold.

    python bench/ageing.py --rows 1000000 --questions DIR --json FILE

All rows are merged at one moment of a clock that is set by hand. Eight days on they turn warm,
ninety-one days on cold: into moto's bucket, over HTTP, in a process of its own. Meanwhile
`--searches-per-s` searches are asked, one after the other, as an agent does; with the same before
ageing begins. Then every question is asked with the cache of cold texts emptied before it, and
again right after. A search is timed from its query's vector to the answer, texts included.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import threading
import time
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from corpus import NEWEST, Corpus, add_options, open_corpus, options_of
from load import Loader
from processes import memory
from recall_daemon.core import open_core
from recall_daemon.search.answer import SearchAnswer, SearchHit
from recall_daemon.search.engine import Search
from recall_daemon.search.query import SearchRequest
from recall_daemon.settings import HubSettings
from recall_daemon.tiers.tiers import Run, Tiers
from report import folder_bytes, machine, percentiles, progress, publish
from s3_server import BUCKET, CREDENTIALS, Server, running

WARM_AT = NEWEST + timedelta(days=8)
COLD_AT = NEWEST + timedelta(days=91)
QUIET_SEARCHES = 100


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    add_options(parser)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--searches-per-s", type=float, default=10)
    arguments = parser.parse_args()
    corpus = open_corpus(options_of(arguments))
    with (
        running(tls=False) as server,
        tempfile.TemporaryDirectory(prefix="recall-ageing-") as name,
        ExitStack() as stack,
    ):
        hub = Hub(corpus, Path(name), server, stack)
        result = measure(hub, arguments.rows, 1 / arguments.searches_per_s)
    publish(
        {
            "benchmark": "ageing",
            "machine": machine(("duckdb", "pyarrow", "moto")),
            "corpus": corpus.describe(arguments.rows),
            "searches_per_s_asked": arguments.searches_per_s,
            **result,
        },
        arguments.json,
    )


@dataclass
class Clock:
    moment: datetime = NEWEST

    def __call__(self) -> datetime:
        return self.moment


class Hub:
    """Store, index, tiers and search of a hub whose bucket is the server's."""

    def __init__(self, corpus: Corpus, folder: Path, server: Server, stack: ExitStack) -> None:
        self.corpus, self.clock, self._folder = corpus, Clock(), folder
        settings = _settings(corpus, folder, server)
        core = stack.enter_context(open_core(settings, now=self.clock))
        core.embedder.get()
        self.core, self.store = core, core.store
        self.tiers = core.tiers
        sources = corpus.sources
        vector_of = dict(zip(sources.questions, sources.question_vectors, strict=True))
        self._search = Search(core.index, core.feed, lambda query, _: vector_of[query])

    def fill(self, rows: int) -> None:
        space_id = self.core.embedder.space_id()
        assert space_id is not None
        Loader(self.store, space_id, self.corpus).fill(0, rows, NEWEST)
        progress("indexing")
        self.core.follow()

    def ask(self, number: int) -> SearchAnswer:
        """The question of that number; they come round again."""
        questions = self.corpus.sources.questions
        answer = self._search.search(SearchRequest(questions[number % len(questions)]))
        if answer.degraded:
            raise RuntimeError(f"answered by words alone: {answer.query!r}")
        return answer

    def disk_bytes(self) -> int:
        return folder_bytes(self._folder)


def _settings(corpus: Corpus, folder: Path, server: Server) -> HubSettings:
    return HubSettings(
        data_dir=folder,
        embedder=corpus.options.embedder,
        bucket_url=f"s3://{BUCKET}/hub",
        s3_endpoint_url=server.url,
        s3_region="us-east-1",
        s3_access_key_id=CREDENTIALS["AWS_ACCESS_KEY_ID"],
        s3_secret_access_key=CREDENTIALS["AWS_SECRET_ACCESS_KEY"],
    )


def measure(hub: Hub, rows: int, every_s: float) -> dict[str, Any]:
    progress(f"filling a store with {rows} rows")
    hub.fill(rows)
    progress("searching before ageing")
    quiet = [_timed(hub, number)[0] for number in range(QUIET_SEARCHES)]
    aged = {"quiet_search": percentiles(quiet)}
    for name, moment in (("hot_to_warm", WARM_AT), ("warm_to_cold", COLD_AT)):
        progress(f"ageing, {name}")
        hub.clock.moment = moment
        aged[name] = _age(hub, name, every_s)
    report = hub.tiers.report()
    return {
        **aged,
        "cold_files": report["cold"]["files"],
        "cold_object_bytes_per_row": round(report["cold"]["bytes"] / max(1, rows), 1),
        "rows_by_tier": {tier["tier"]: tier["rows"] for tier in report["tiers"]},
        "cold_search": _cold_search(hub),
        "rss_bytes": memory(os.getpid(), "VmRSS"),
        "disk_bytes": hub.disk_bytes(),
    }


def _age(hub: Hub, name: str, every_s: float) -> dict[str, Any]:
    """One run of ageing in a thread of its own, searches in this one until it is done."""
    ageing = _Ageing(hub.tiers)
    started = time.perf_counter()
    ageing.thread.start()
    seconds: list[float] = []
    while ageing.thread.is_alive():
        due = started + len(seconds) * every_s
        ageing.thread.join(max(0.0, due - time.perf_counter()))
        seconds.append(_timed(hub, len(seconds))[0])
    run = ageing.result()
    moved, rate = (
        (run.to_warm, run.warm_rows_per_s)
        if name == "hot_to_warm"
        else (run.to_cold, run.cold_rows_per_s)
    )
    return {
        "rows": moved,
        "rows_per_s": rate,
        "whole_run_s": round(time.perf_counter() - started, 1),
        "compacted_files": run.compacted_files,
        "problem": run.problem,
        "search": percentiles(seconds),
        "searches": len(seconds),
    }


@dataclass
class _Ageing:
    """A run in a thread; `result` raises what it raised."""

    tiers: Tiers
    thread: threading.Thread = field(init=False)
    _runs: list[Run] = field(default_factory=list)
    _failures: list[Exception] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.thread = threading.Thread(target=self._work)

    def _work(self) -> None:
        try:
            self._runs.append(self.tiers.age(_told))
        except Exception as error:
            self._failures.append(error)

    def result(self) -> Run:
        if self._failures:
            raise self._failures[0]
        return self._runs[0]


_TOLD_ROWS = 50_000


def _told(done: int, total: int | None, detail: str | None) -> None:
    if done % _TOLD_ROWS == 0:
        progress(f"{detail}: {done} of {total} rows")


def _cold_search(hub: Hub) -> dict[str, Any]:
    progress("searching, all hits cold")
    empty: list[float] = []
    warm: list[float] = []
    hits: list[SearchHit] = []
    hub.ask(0)  # the first client's connection is no part of the figures
    for number in range(len(hub.corpus.sources.questions)):
        hub.tiers.texts.clear_cache()
        seconds, answer = _timed(hub, number)
        empty.append(seconds)
        warm.append(_timed(hub, number)[0])
        hits += answer.hits
    return {
        "empty_cache": percentiles(empty),
        "warm_cache": percentiles(warm),
        "searches": len(empty),
        "hits": len(hits),
        "hits_that_are_cold": sum(hit.tier == "cold" for hit in hits),
        "hits_without_text": sum(hit.text is None for hit in hits),
    }


def _timed(hub: Hub, number: int) -> tuple[float, SearchAnswer]:
    started = time.perf_counter()
    answer = hub.ask(number)
    return time.perf_counter() - started, answer


if __name__ == "__main__":
    main()
