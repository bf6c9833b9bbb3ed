"""Whether the time of a 404 tells a memory that is not yours from one that is not there.

    python bench/not_yours.py --rows 20000 --requests 3000 --json FILE

`recalld run` as a process over a store of the corpus, and a reader bound to one system and one
project. Three kinds of names, asked one at a time over one connection, in blocks of one of each in
random order: `absent` (the reader's own system, an id that nobody has), `other_system` and
`other_project` (memories that are there). Every id is of five digits and asked once.

For each route: the median of each kind, and for each kind that is there, against `absent`: the
difference of the medians, how often it took longer than an absent one (0.5: as often as not), and
the p-value of the two-sided rank-sum test. The last two are also given for `absent` against itself,
one half of its requests against the other: what is found between equals.
"""

from __future__ import annotations

import argparse
import math
import random
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import numpy as np

from corpus import NEWEST, SYSTEM_ROWS, Corpus, add_options, open_corpus, options_of
from daemon_process import DaemonProcess
from load import Loader
from narrowing import name_of
from recall_daemon.access.tokens import Asked
from recall_daemon.core import open_core
from recall_daemon.settings import HubSettings
from report import machine, progress, publish

ROUTES = {"get": "/v1/memories", "related": "/v1/related"}
KINDS = ("absent", "other_system", "other_project")
PROJECT = 3
WARM_UP_SHARE = 0.1  # asked besides, and left out
LIMIT_S = 600.0

Times = dict[str, list[float]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    add_options(parser)
    parser.add_argument("--rows", type=int, default=20_000, help="half of them in each system")
    parser.add_argument("--requests", type=int, default=3_000, help="of each kind and route")
    arguments = parser.parse_args()
    options = options_of(arguments)
    corpus = open_corpus(options)
    with tempfile.TemporaryDirectory(prefix="recall-not-yours-") as name, ExitStack() as stack:
        folder = Path(name)
        token = _fill(folder / "hub", corpus, arguments.rows)
        (folder / "bucket").mkdir()
        settings = {
            "RECALLD_BUCKET_URL": f"file://{folder / 'bucket'}",
            "RECALLD_EMBEDDER": options.embedder,
            "RECALLD_RATE_PER_MINUTE": "0",
        }
        daemon = DaemonProcess(folder / "hub", settings)
        stack.callback(daemon.kill)
        daemon.until_ready(LIMIT_S)
        warm_up = math.ceil(WARM_UP_SHARE * arguments.requests)
        names = _names(corpus, arguments.rows, warm_up + arguments.requests)
        found = {
            route: judged(_asked(daemon.url, token, path, names, warm_up))
            for route, path in ROUTES.items()
        }
    publish(
        {
            "benchmark": "not_yours",
            "machine": machine(("duckdb", "fastapi", "uvicorn")),
            "rows": arguments.rows,
            "requests_of_each_kind": arguments.requests,
            "routes": found,
        },
        arguments.json,
    )


def _fill(folder: Path, corpus: Corpus, rows: int) -> str:
    """Rows on either side of where one system ends; returns the reader's token."""
    with open_core(HubSettings(data_dir=folder, embedder=corpus.options.embedder)) as core:
        embedder = core.embedder.get()
        assert embedder is not None
        first = SYSTEM_ROWS - rows // 2
        Loader(core.store, embedder.space.space_id, corpus).fill(first, first + rows, NEWEST)
        core.follow()
        asked = Asked("reader", systems=("system-0",), projects=(name_of("project", PROJECT),))
        return core.tokens.create(asked, actor="bench")[1]


def _names(corpus: Corpus, rows: int, count: int) -> dict[str, list[tuple[str, str]]]:
    """`count` names of each kind."""
    first, last = SYSTEM_ROWS - rows // 2, SYSTEM_ROWS + rows // 2
    projects = corpus.fields(first, SYSTEM_ROWS).project
    own = [first + at for at in np.flatnonzero(projects != PROJECT).tolist()]
    numbers = {
        "absent": ("system-0", range(last + 10_000, last + 10_000 + count)),
        "other_system": ("system-1", range(SYSTEM_ROWS, last)),
        "other_project": ("system-0", own),
    }
    chance = random.Random(0)
    return {
        kind: [(system, str(number)) for number in chance.sample(among, count)]
        for kind, (system, among) in numbers.items()
    }


def _asked(
    url: str, token: str, path: str, names: dict[str, list[tuple[str, str]]], warm_up: int
) -> Times:
    """Seconds of each 404, the first `warm_up` of each kind left out."""
    progress(f"{path}: {len(names['absent'])} of each kind")
    times: Times = {kind: [] for kind in KINDS}
    chance = random.Random(1)
    headers = {"authorization": f"Bearer {token}"}
    with httpx.Client(base_url=url, headers=headers, timeout=60) as http:
        for number in range(len(names["absent"])):
            for kind in chance.sample(KINDS, len(KINDS)):
                system, memory_id = names[kind][number]
                request = http.build_request("GET", f"{path}/{system}/{memory_id}")
                began_s = time.perf_counter()
                answer = http.send(request)
                took_s = time.perf_counter() - began_s
                if answer.status_code != 404:
                    raise RuntimeError(f"{kind} was answered {answer.status_code}: {answer.text}")
                times[kind].append(took_s)
    return {kind: found[warm_up:] for kind, found in times.items()}


def judged(times: Times) -> dict[str, Any]:
    """What is said of a route."""
    absent = times["absent"]
    medians = {kind: float(np.median(found)) for kind, found in times.items()}
    return {
        "median_us": {kind: round(1e6 * median, 1) for kind, median in medians.items()},
        "beside_absent": {
            kind: {
                "median_difference_us": round(1e6 * (medians[kind] - medians["absent"]), 1),
                **rank_sum(times[kind], absent),
            }
            for kind in KINDS[1:]
        },
        "absent_beside_itself": rank_sum(absent[::2], absent[1::2]),
    }


def rank_sum(some: Sequence[float], others: Sequence[float]) -> dict[str, float]:
    """Wilcoxon's rank-sum test (Mann and Whitney's U), normal approximation with ties.

    `longer`: the share of pairs in which the one of `some` is the longer, ties counting half.
    """
    values = np.concatenate([some, others])
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[inverse]
    m, n, total = len(some), len(others), len(values)
    u = float(ranks[:m].sum()) - m * (m + 1) / 2
    ties = float((counts**3 - counts).sum()) / (total * (total - 1))
    spread = math.sqrt(m * n / 12 * (total + 1 - ties))
    z = (u - m * n / 2) / spread if spread else 0.0
    return {"longer": round(u / (m * n), 4), "p_value": round(math.erfc(abs(z) / math.sqrt(2)), 6)}


if __name__ == "__main__":
    main()
