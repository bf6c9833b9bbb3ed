"""Search at 200,000 and 1,000,000 rows, beside DuckDB's own vector scan and LanceDB.

    python bench/search.py --rows 200000 --rows 1000000 --questions DIR --json FILE

Same rows, same vectors, same filters, in one run on one machine; each side in a process of its own
(`sides`), taking turns in rounds, filter by filter, first quiet and then with 200 rows a second
being ingested into it. recalld ingests as its daemon does, merge, vectors, index, in the process
that searches; DuckDB inserts and LanceDB appends the same rows.

A question is timed from its vector to the answer: with recalld's `hybrid` that is the whole search
with words, ranking and texts. Recall is that of the ten best against the exact f32 answer. What a
hybrid ranking puts first has no exact answer: for it the ten nearest of its vector candidates are
compared. `--smoke` does everything with 2,000 rows in seconds.
"""

from __future__ import annotations

import argparse
import tempfile
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from corpus import Corpus, add_options, open_corpus, options_of
from exact import Truth, exact, recall
from hub_side import HubSide
from narrowing import SHARES
from report import machine, percentiles, progress, publish
from rivals import DuckDbSide, LanceDbSide
from sides import INGEST_ROWS_PER_S, Answer, Side, SideProcess, State, Turn

SMOKE_ROWS, SMOKE_TEXTS = 2_000, 500
SIDES: dict[str, Callable[[Corpus, Path], Side]] = {
    "recalld": HubSide,
    "duckdb": DuckDbSide,
    "lancedb": LanceDbSide,
}
SEARCHES = {
    "recalld": ("recalld_hybrid", "recalld_meaning", "recalld_candidates"),
    "duckdb": ("duckdb_scan",),
    "lancedb": ("lancedb_refined", "lancedb_refined_far"),
}
HYBRID, CANDIDATES = "recalld_hybrid", "recalld_candidates"
STATES: tuple[State, ...] = ("quiet", "ingest")
PACKAGES = ("duckdb", "faiss-cpu", "tantivy", "numpy")

# By rows of the corpus, in ms after the query's embedding; recall of every size.
P50_MS = {200_000: 8.0, 1_000_000: 20.0}
P99_MS = {1_000_000: 75.0}
RECALL = 0.98

Key = tuple[str, State, str]
Answers = dict[Key, list[Answer]]


@dataclass(frozen=True)
class Plan:
    """How long each search is asked, with each filter and in each state, over all rounds."""

    rounds: int
    seconds: float
    least: int
    sides: Sequence[str]
    quiet_s: float = 1.0


def main() -> None:
    arguments = _parse()
    options = options_of(arguments)
    sizes = arguments.rows or [200_000]
    plan = Plan(arguments.rounds, arguments.seconds, arguments.least, arguments.side or [*SIDES])
    if arguments.smoke:
        options = replace(options, texts=min(options.texts, SMOKE_TEXTS))
        sizes, plan = [SMOKE_ROWS], Plan(1, 0.05, 5, plan.sides, quiet_s=0.1)
    corpus = open_corpus(options)
    found: dict[str, Any] = {
        "benchmark": "search",
        "machine": machine([*PACKAGES, *(["lancedb"] if "lancedb" in plan.sides else [])]),
        "ingest_rows_per_s_asked": INGEST_ROWS_PER_S,
        "rounds": plan.rounds,
        "sizes": [measure(corpus, rows, plan) for rows in sizes],
    }
    publish(found, arguments.json)


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    add_options(parser)
    parser.add_argument("--rows", type=int, action="append", help="repeatable; default 200,000")
    parser.add_argument("--side", choices=SIDES, action="append", help="repeatable; default all")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument(
        "--seconds", type=float, default=12, help="for each search, filter and state"
    )
    parser.add_argument("--least", type=int, default=30, help="questions of each, however slow")
    parser.add_argument("--smoke", action="store_true", help="2,000 rows, in seconds")
    return parser.parse_args()


def measure(corpus: Corpus, rows: int, plan: Plan) -> dict[str, Any]:
    """Every side over the first `rows` rows."""
    truth = exact(corpus, rows, range(len(corpus.sources.questions)))
    with tempfile.TemporaryDirectory(prefix="recall-search-") as name, ExitStack() as stack:
        sides, built = {}, {}
        for side in plan.sides:
            progress(f"building {side} with {rows} rows")
            sides[side] = SideProcess(SIDES[side], corpus.options, Path(name) / side)
            stack.callback(sides[side].close)
            built[side] = sides[side].build(rows)
        answers = _ask_all(sides, plan, len(corpus.sources.questions))
        used = {side: built[side] | process.usage() for side, process in sides.items()}
    searches = _judged(answers, truth, rows)
    return {
        "corpus": corpus.describe(rows),
        "sides": used,
        "searches": searches,
        "budgets": _budgets(rows),
        "within_budget": _within(searches.get(HYBRID, {}), rows),
        "p50_to_recalld_hybrid": _ratios(searches),
    }


def _ask_all(sides: dict[str, SideProcess], plan: Plan, questions: int) -> Answers:
    """Turn by turn: in each round, state and filter every search has one."""
    answers: Answers = defaultdict(list)
    for side, process in sides.items():
        for search in SEARCHES[side]:  # what a first question pays is no part of the figures
            process.take(Turn(search, "all", range(min(questions, 5)), "quiet", 0, 5))
    for number in range(plan.rounds):
        order = _order(number, plan, questions)
        for state in STATES:
            for narrowing in SHARES:
                progress(f"round {number + 1} of {plan.rounds}: {state}, {narrowing}")
                for side, search in _searches(sides, number):
                    turn = _turn(search, narrowing, state, plan, order)
                    answers[search, state, narrowing] += sides[side].take(turn)
    return answers


def _searches(sides: dict[str, SideProcess], number: int) -> Iterator[tuple[str, str]]:
    """Side and search; every other round in the opposite order."""
    every = [(side, search) for side in sides for search in SEARCHES[side]]
    yield from every[:: -1 if number % 2 else 1]


def _order(number: int, plan: Plan, questions: int) -> list[int]:
    """Every question, this round's share first, so that slow searches get others each time."""
    first = number * questions // plan.rounds
    return [*range(first, questions), *range(first)]


def _turn(search: str, narrowing: str, state: State, plan: Plan, order: Sequence[int]) -> Turn:
    """Candidates are asked for their recall alone, each question once over all rounds."""
    if search == CANDIDATES:
        share = order[: -(-len(order) // plan.rounds)]
        return Turn(search, narrowing, share, state, 0, len(share), plan.quiet_s)
    least = -(-plan.least // plan.rounds)
    return Turn(search, narrowing, order, state, plan.seconds / plan.rounds, least, plan.quiet_s)


def _judged(answers: Answers, truth: Truth, rows: int) -> dict[str, Any]:
    """By search, state and filter: p50 and p99, recall, and how often it was asked."""
    found: dict[str, Any] = {}
    for (search, state, narrowing), given in answers.items():
        if search == CANDIDATES:
            continue
        judged = answers[CANDIDATES, state, narrowing] if search == HYBRID else given
        cell = percentiles([answer.seconds for answer in given])
        shares = {"recall_at_10": recall(judged, truth[narrowing], rows), "asked": len(given)}
        found.setdefault(search, {}).setdefault(state, {})[narrowing] = cell | shares
    return found


def _budgets(rows: int) -> dict[str, float | None]:
    return {"p50_ms": P50_MS.get(rows), "p99_ms": P99_MS.get(rows), "recall_at_10": RECALL}


def _within(hybrid: dict[str, Any], rows: int) -> dict[str, dict[str, bool]]:
    """Of each state and filter; p50 and p99 only at the sizes that have a budget."""
    limits = {"p50_ms": P50_MS.get(rows), "p99_ms": P99_MS.get(rows)}
    return {
        f"{state}, {narrowing}": {
            **{name: cell[name] <= limit for name, limit in limits.items() if limit is not None},
            "recall_at_10": cell["recall_at_10"] >= RECALL,
        }
        for state, cells in hybrid.items()
        for narrowing, cell in cells.items()
    }


def _ratios(searches: dict[str, Any]) -> dict[str, dict[str, float]]:
    """How many times as long as recalld's hybrid search each takes, by state and filter."""
    base = searches.get(HYBRID)
    if base is None:
        return {}
    return {
        search: {
            f"{state}, {narrowing}": round(cell["p50_ms"] / base[state][narrowing]["p50_ms"], 2)
            for state, cells in states.items()
            for narrowing, cell in cells.items()
        }
        for search, states in searches.items()
        if search != HYBRID
    }


if __name__ == "__main__":
    main()
