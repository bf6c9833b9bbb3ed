"""How long forgetting takes: what a person waits for, and the purge of the disk beside it.

    python bench/forgetting.py --rows 200000 --json FILE

One memory after the other is forgotten by its id, then those that hold some words, which reads
every text, then a whole system. After that one purge writes store and index anew, while searches go
on. The bucket is a folder that holds the hub's log and no snapshots: what a receipt costs beyond
that is reading the objects of the systems it is about.
"""

from __future__ import annotations

import argparse
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from corpus import NEWEST, SYSTEM_ROWS, Corpus, add_options, open_corpus, options_of
from load import Loader
from recall_daemon.app import open_forgetting
from recall_daemon.core import Core, open_core
from recall_daemon.jobs import Progress
from recall_daemon.memory.criteria import Criteria
from recall_daemon.memory.forget import Forgetting
from recall_daemon.search.query import SearchRequest
from recall_daemon.settings import HubSettings
from report import machine, percentiles, progress, publish

SINGLE = 20


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    add_options(parser)
    parser.add_argument("--rows", type=int, default=200_000)
    arguments = parser.parse_args()
    options = options_of(arguments)
    corpus = open_corpus(options)
    with tempfile.TemporaryDirectory(prefix="recall-forget-") as name:
        result = measure(corpus, arguments.rows, Path(name), options.embedder)
    publish(
        {
            "benchmark": "forgetting",
            "machine": machine(("duckdb", "faiss-cpu", "tantivy")),
            "corpus": corpus.describe(arguments.rows),
            **result,
        },
        arguments.json,
    )


def measure(corpus: Corpus, rows: int, folder: Path, embedder: str) -> dict[str, Any]:
    (folder / "bucket").mkdir()
    settings = HubSettings(
        data_dir=folder / "hub", bucket_url=f"file://{folder / 'bucket'}", embedder=embedder
    )
    with open_core(settings) as core, open_forgetting(core) as forgetting:
        model = core.embedder.get()
        assert model is not None, "no model"
        Loader(core.store, model.space.space_id, corpus).fill(0, rows, NEWEST)
        progress("following")
        core.follow()
        return _measured(core, forgetting, corpus, rows)


def _measured(core: Core, forgetting: Forgetting, corpus: Corpus, rows: int) -> dict[str, Any]:
    def forget(criteria: Criteria) -> dict[str, Any]:
        return forgetting.forget(criteria, purge=False)

    names = corpus.rows(0, SYSTEM_ROWS)["memory_id"].to_pylist()[:SINGLE]
    progress("by id")
    one_by_one = [_seconds(lambda n=name: forget(Criteria((f"system-0/{n}",)))) for name in names]  # type: ignore[misc]
    progress("by words")
    text = corpus.rows(rows - 1, rows)["text"].to_pylist()[0]
    by_words = _seconds(lambda: forget(Criteria(query=text)))
    progress("a system")
    by_system = _seconds(lambda: forget(Criteria(system=("system-0",))))
    progress("purging")
    searches, purge = _beside(
        lambda: core.operations.search(SearchRequest(corpus.sources.questions[0])),
        lambda: forgetting.purge.run(Progress()),
    )
    return {
        "one_memory_by_id": percentiles(one_by_one) | {"forgets": SINGLE},
        "by_words_s": round(by_words, 2),
        "a_system_s": round(by_system, 2),
        "a_system_rows": min(SYSTEM_ROWS, rows) - SINGLE,
        "purge_s": round(purge, 2),
        "searches_during_the_purge": percentiles(searches) | {"searches": len(searches)},
    }


def _beside(search: Callable[[], object], work: Callable[[], object]) -> tuple[list[float], float]:
    """Searches one after the other as long as the work takes, and how long that was."""
    took: list[float] = []
    thread = threading.Thread(target=lambda: took.append(_seconds(work)))
    thread.start()
    searches = [_seconds(search)]
    while thread.is_alive():
        searches.append(_seconds(search))
    thread.join()
    return searches, took[0]


def _seconds(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
