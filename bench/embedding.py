"""Embedding: `SentenceTransformer.encode` on the CPU with its defaults, against the hub's own.

Both sides get the same real texts in the same process, in alternating rounds, after a warm-up that
is long enough for the hub to have opened everything it uses for bulk. Prints one JSON object.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from recall_daemon.embed.amx_session import has_amx
from recall_daemon.embed.base import Vectors
from recall_daemon.embed.choose import open_embedder
from recall_daemon.embed.locate import locate
from recall_daemon.embed.tokens import Tokens
from texts import real_texts

Encode = Callable[[Sequence[str]], Vectors]
QUERIES = 40
WARM_UP_TEXTS = 1024  # as many as make the hub open its bulk embedder
MIN_RATIO = 4.0
MIN_COSINE = 0.999


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--texts", type=int, default=1024)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--model-dir", type=Path)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as data_dir:
        ours = open_embedder("minilm", data_dir=Path(data_dir), model_dir=arguments.model_dir)
        result = compare(
            ours.encode,
            _reference(arguments.model_dir),
            real_texts(arguments.texts),
            arguments.rounds,
        )
    tokens = Tokens(locate(arguments.model_dir).tokenizer)
    lengths = [len(ids) for ids in tokens.ids(real_texts(arguments.texts))]
    result |= {"tokens_mean": round(statistics.mean(lengths), 1), "cores": os.cpu_count()}
    result |= {"amx": has_amx(), "load_average": os.getloadavg()[0]}
    print(json.dumps(result, indent=2))


def compare(ours: Encode, theirs: Encode, texts: list[str], rounds: int) -> dict[str, Any]:
    """Both sides' rates over alternating rounds, and how near their vectors are."""
    for encode in (theirs, ours):
        encode(real_texts(WARM_UP_TEXTS, seed=1))  # other texts: nothing of these may be kept
    seconds: tuple[list[float], list[float]] = ([], [])
    for _ in range(rounds):
        seconds[0].append(_seconds(theirs, texts))
        seconds[1].append(_seconds(ours, texts))
    reference, mine = theirs(texts), ours(texts)
    rates = [len(texts) / statistics.median(side) for side in seconds]
    cosines = np.sum(mine * reference, axis=1) / np.linalg.norm(reference, axis=1)
    ratio, lowest = rates[1] / rates[0], float(cosines.min())
    return {
        "texts": len(texts),
        "rounds": rounds,
        "sentence_transformers_texts_per_s": round(rates[0], 1),
        "recalld_texts_per_s": round(rates[1], 1),
        "ratio": round(ratio, 2),
        "ratio_per_round": [round(a / b, 2) for a, b in zip(*seconds, strict=True)],
        "ratio_of_best_rounds": round(min(seconds[0]) / min(seconds[1]), 2),
        "cosine_min": round(lowest, 6),
        "cosine_mean": round(float(cosines.mean()), 6),
        "sentence_transformers_query_ms": _query_ms(theirs, texts),
        "recalld_query_ms": _query_ms(ours, texts),
        "within_budget": ratio >= MIN_RATIO and lowest >= MIN_COSINE,
    }


def _reference(model_dir: Path | None) -> Encode:
    """As a user would call it: torch on the CPU, batches of 32."""
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    from sentence_transformers import SentenceTransformer

    model = SentenceTransformer(str(locate(model_dir).folder), device="cpu")
    return lambda texts: np.asarray(model.encode(list(texts)), dtype=np.float32)


def _seconds(encode: Encode, texts: Sequence[str]) -> float:
    start = time.perf_counter()
    encode(texts)
    return time.perf_counter() - start


def _query_ms(encode: Encode, texts: Sequence[str]) -> float:
    return round(1000 * statistics.median(_seconds(encode, [text]) for text in texts[:QUERIES]), 2)


if __name__ == "__main__":
    main()
