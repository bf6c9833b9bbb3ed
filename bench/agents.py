"""Memories that agents share: what a read's version costs, and adds and updates a second.

    python bench/agents.py --rows 200000 --json FILE

In a store of the corpus, with `--shared` memories of an agent beside it, each with two versions.
Reads of one memory by its name, in turns and in one process: as the plain route does it, which asks
for no version, and as the agents' route does it, with the version that is served, the lock of none,
and what the agent may see; `overhead` is how much longer that one takes. Then adds and updates over
HTTP by 1 and 16 clients, each durable when it is answered, while the hub embeds what they write;
each update is of another memory than the ones that go on beside it.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import multiprocessing as mp
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import http_clients
from corpus import NEWEST, Corpus, add_options, open_corpus, options_of
from daemon_process import DaemonProcess, settle
from http_clients import Address, Answers
from load import Loader
from recall_daemon.access.caller import LOCAL
from recall_daemon.agents.actor import Actor
from recall_daemon.core import Core, open_core
from recall_daemon.settings import HubSettings
from report import machine, percentiles, progress, publish
from sources import Options

CLIENTS = (1, 16)
AGENT = Actor(LOCAL, "bench")
LIMIT_S = 1_800.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    add_options(parser)
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument("--shared", type=int, default=2_000, help="memories that have versions")
    parser.add_argument("--reads", type=int, default=5_000)
    parser.add_argument("--seconds", type=float, default=20.0, help="for each measurement")
    arguments = parser.parse_args()
    options, corpus = options_of(arguments), open_corpus(options_of(arguments))
    with tempfile.TemporaryDirectory(prefix="recall-agents-") as name:
        folder = Path(name)
        progress(f"filling a store with {arguments.rows} rows")
        with ProcessPoolExecutor(1, mp_context=mp.get_context("spawn")) as other:
            other.submit(_build, options, folder / "hub", arguments.rows).result()
            progress("reads")
            reads = other.submit(
                _reads, options, folder / "hub", arguments.shared, arguments.reads
            ).result()
        writes = _writes(folder, options, arguments.shared, arguments.seconds)
    publish(
        {
            "benchmark": "agents",
            "machine": machine(("duckdb", "fastapi", "uvicorn")),
            "corpus": corpus.describe(arguments.rows),
            "memories_with_versions": arguments.shared,
            "read": reads,
            "writes": writes,
        },
        arguments.json,
    )


def _reads(options: Options, folder: Path, shared: int, reads: int) -> dict[str, Any]:
    """Seconds of each kind of read, in turns, of memories that were added and updated once."""
    with open_core(_settings(options, folder)) as core:
        names = _shared(core, shared)
        agents = core.shared(core.posts(lambda: None), lambda: None)
        plain_s: list[float] = []
        version_s: list[float] = []
        for number in range(reads):
            name = names[number * 7919 % len(names)]
            began_s = time.perf_counter()
            core.memories.get(core.settings.agents_system, name)
            between_s = time.perf_counter()
            agents.memories.get(AGENT, name)
            plain_s.append(between_s - began_s)
            version_s.append(time.perf_counter() - between_s)
    overhead_s = [version - plain for version, plain in zip(version_s, plain_s, strict=True)]
    return {
        "plain": percentiles(plain_s),
        "with_version": percentiles(version_s),
        "overhead": percentiles(overhead_s),
    }


def _shared(core: Core, count: int) -> list[str]:
    agents = core.shared(core.posts(lambda: None), lambda: None)
    names: list[str] = []
    for start in range(0, count, 1_000):
        memories = [
            {"content": f"memory {number}", "memory_id": f"shared-{number}"}
            for number in range(start, min(start + 1_000, count))
        ]
        names += agents.memories.add_batch(AGENT, {"memories": memories})["memory_ids"]
    for name in names:
        agents.editing.update(AGENT, name, {"importance": 0.75})
    return names


def _writes(folder: Path, options: Options, shared: int, seconds: float) -> dict[str, Any]:
    (folder / "bucket").mkdir()
    environment = {
        "RECALLD_BUCKET_URL": f"file://{folder / 'bucket'}",
        "RECALLD_EMBEDDER": options.embedder,
        "RECALLD_RATE_PER_MINUTE": "0",
        "RECALLD_COLD_AFTER_S": "1e9",
    }
    settle(folder / "hub", environment, LIMIT_S)
    found = {}
    with ExitStack() as stack:
        daemon = DaemonProcess(folder / "hub", environment)
        stack.callback(daemon.kill)
        daemon.until_ready(LIMIT_S)
        address = Address.of(daemon.url)
        numbers = itertools.count()
        for clients in CLIENTS:
            daemon.until_embedded(min(1.0, seconds))
            progress(f"adds by {clients} clients")
            added = _run(address, clients, seconds, lambda _: _add(next(numbers)))
            found[f"adds_{clients}_clients"] = _told(added)
            daemon.until_embedded(min(1.0, seconds))
            progress(f"updates by {clients} clients")
            changed = _run(address, clients, seconds, lambda n: _update(n % shared), method="PATCH")
            found[f"updates_{clients}_clients"] = _told(changed)
    return found


def _add(number: int) -> tuple[str, dict[str, Any]]:
    return "/v1/agent/memories", {"content": f"added {number}", "memory_id": f"added-{number}"}


def _update(number: int) -> tuple[str, dict[str, Any]]:
    changed = {"content": f"updated {number} at {time.time_ns()}"}
    return f"/v1/agent/memories/shared-{number}", changed


def _run(
    address: Address, clients: int, seconds: float, body: http_clients.Body, method: str = "POST"
) -> Answers:
    return asyncio.run(http_clients.run(address, clients, seconds, body, method=method))


def _told(answers: Answers) -> dict[str, Any]:
    return {
        "answered": len(answers.seconds),
        "a_second": round(len(answers.seconds) / answers.wall_s, 1),
        **(percentiles(answers.seconds) if answers.seconds else {}),
        **({"refused": answers.refused} if answers.refused else {}),
    }


def _build(options: Options, folder: Path, rows: int) -> None:
    corpus: Corpus = open_corpus(options)
    with open_core(_settings(options, folder)) as core:
        embedder = core.embedder.get()
        assert embedder is not None
        Loader(core.store, embedder.space.space_id, corpus).fill(0, rows, NEWEST)
        core.follow()


def _settings(options: Options, folder: Path) -> HubSettings:
    return HubSettings(data_dir=folder, embedder=options.embedder)


if __name__ == "__main__":
    main()
