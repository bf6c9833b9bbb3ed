"""Retrieval: how much of the evidence of a question is found, through the hub's own code path.

Every conversation is a system whose snapshot lies in a folder bucket; a whole hub polls, merges,
embeds (the real model) and indexes it, and every question is one query over all systems. Recall of
a question is the share of its evidence among the first k hits; what is printed is the mean over all
questions, and the same for each conversation. A hit counts for every witness it names.

`meaning` and `words` are the index's own two searches, `rrf` their reciprocal-rank fusion (k = 60)
over pools of 100, and `ours` is the search as it is served. Prints one JSON object.

`--documentation` asks the summary lines of installed packages' docstrings for the paragraphs below
them: nothing in the ranking was chosen by these. `--changed` adds `ours` with each constant of the
ranking changed, one at a time: whether it stands on a plateau or on a peak.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import json
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

import pyarrow as pa

import changes
from conversations import Conversation, Question, conversations
from publishing import publish_snapshot
from recall_daemon.app import open_hub
from recall_daemon.core import Core, open_core
from recall_daemon.index.filters import NO_FILTERS
from recall_daemon.index.view import Scored
from recall_daemon.loop import until_done
from recall_daemon.search.query import SearchRequest
from recall_daemon.settings import HubSettings
from recall_wire.buckets import open_bucket
from recall_wire.records import to_batch
from summaries import documentation

CUTS = (5, 10, 50)
POOL = 100
# Of the documentation.
PARAGRAPHS, QUESTIONS = 6_000, 600
RRF_K = 60

# The memories of one hit, best hit first.
Hits = list[set[tuple[str, str]]]
Method = Callable[[str], Hits]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--data", type=Path, help="folder of conversation files")
    what.add_argument(
        "--documentation", action="store_true", help="installed packages' docstrings instead"
    )
    parser.add_argument("--json", type=Path, help="write the result here, too")
    parser.add_argument("--keep", type=Path, help="keep the hub here, so that a second run is fast")
    parser.add_argument("--changed", action="store_true", help="also with changed constants")
    arguments = parser.parse_args()
    found = documentation(PARAGRAPHS, QUESTIONS, 0) if arguments.documentation else None
    found = found or conversations(arguments.data)
    with tempfile.TemporaryDirectory() as scratch:
        folder = (arguments.keep or Path(scratch)) / _digest(found)
        result = asyncio.run(measure(found, folder, changed=arguments.changed))
    text = json.dumps(result, indent=2)
    print(text)
    if arguments.json:
        arguments.json.write_text(text + "\n", encoding="utf-8")


async def measure(
    found: Sequence[Conversation], folder: Path, *, changed: bool = False
) -> dict[str, Any]:
    bucket = folder / "bucket"
    if not bucket.exists():
        publish(found, bucket)
    settings = HubSettings(
        bucket_url=f"file://{bucket.resolve()}", data_dir=folder / "hub", embedder="minilm"
    )
    with open_core(settings) as core:
        async with open_hub(core) as hub:
            report = await until_done(hub.poll, hub.finish, sleep=asyncio.sleep)
            if report.pending or report.errors:
                raise SystemExit(f"the hub did not finish: {report}")
            result = await asyncio.to_thread(_evaluate, core, found)
            if changed:
                result["changed"] = await asyncio.to_thread(_evaluate_changed, core, found)
            return result


def publish(found: Sequence[Conversation], folder: Path) -> None:
    """One committed snapshot a conversation."""
    folder.mkdir(parents=True)
    bucket = open_bucket(f"file://{folder.resolve()}")
    for conversation in found:
        rows = pa.Table.from_batches([to_batch(conversation.turns)])
        publish_snapshot(bucket, conversation.system_id, 1, rows)


def _evaluate(core: Core, found: Sequence[Conversation]) -> dict[str, Any]:
    questions = [question for conversation in found for question in conversation.questions]
    recalls = {
        name: [_recalls(question, method(question.text)) for question in questions]
        for name, method in methods(core).items()
    }
    per_system = {
        conversation.system_id: {
            name: _means([r for r, q in zip(values, questions, strict=True) if q in own])
            for name, values in recalls.items()
        }
        for conversation in found
        if (own := set(conversation.questions))
    }
    return {
        "systems": len(found),
        "memories": sum(len(conversation.turns) for conversation in found),
        "questions": len(questions),
        "recall": {name: _means(values) for name, values in recalls.items()},
        "per_system": per_system,
        "questions_without_evidence": sum(conversation.unasked for conversation in found),
        "evidence_of_no_turn": sum(conversation.unknown_evidence for conversation in found),
    }


def methods(core: Core) -> dict[str, Method]:
    def near(query: str) -> list[Scored]:
        vector = core.embedder.embed_query(query, core.index.view().vectors.space_id)
        return [] if vector is None else core.index.search_vectors(vector, NO_FILTERS, POOL)

    def worded(query: str) -> list[Scored]:
        return core.index.search_words(query, NO_FILTERS, POOL)

    def named(scored: Sequence[Scored]) -> Hits:
        rows = core.feed.rows_now([hit.row_id for hit in scored])
        names = zip(rows["system_id"].to_pylist(), rows["memory_id"].to_pylist(), strict=True)
        name_of = dict(zip(rows["row_id"].to_pylist(), names, strict=True))
        return [{name_of[hit.row_id]} for hit in scored]

    return {
        "meaning": lambda query: named(near(query)),
        "words": lambda query: named(worded(query)),
        "rrf": lambda query: named(reciprocal([near(query), worded(query)])),
        "ours": lambda query: served(core, query),
    }


def _evaluate_changed(core: Core, found: Sequence[Conversation]) -> dict[str, dict[str, float]]:
    questions = [question for conversation in found for question in conversation.questions]
    return {
        change: _means([_recalls(question, served(core, question.text)) for question in questions])
        for change in changes.changed()
    }


def reciprocal(lists: Sequence[Sequence[Scored]]) -> list[Scored]:
    """Reciprocal-rank fusion; a tie goes to the row that was merged first."""
    scores: dict[int, float] = {}
    for ranked in lists:
        for rank, hit in enumerate(ranked, start=1):
            scores[hit.row_id] = scores.get(hit.row_id, 0.0) + 1 / (RRF_K + rank)
    return [Scored(*item) for item in sorted(scores.items(), key=lambda item: (-item[1], item[0]))]


def served(core: Core, query: str) -> Hits:
    answer = core.operations.search(SearchRequest(query, limit=max(CUTS)))
    return [
        {(w["system_id"], w["memory_id"]) for w in (hit, *hit.get("witnesses", ()))}
        for hit in answer["hits"]
    ]


def _recalls(question: Question, hits: Hits) -> dict[int, float]:
    wanted = {(question.system_id, memory_id) for memory_id in question.evidence}
    return {cut: len(wanted & set().union(*hits[:cut])) / len(wanted) for cut in CUTS}


def _means(recalls: Sequence[dict[int, float]]) -> dict[str, float]:
    return {str(cut): round(fmean(recall[cut] for recall in recalls), 4) for cut in CUTS}


def _digest(found: Sequence[Conversation]) -> str:
    """Names the hub that `--keep` keeps: other memories, another hub."""
    memories = [(conversation.system_id, conversation.turns) for conversation in found]
    return hashlib.sha256(repr(memories).encode()).hexdigest()[:16]


if __name__ == "__main__":
    main()
