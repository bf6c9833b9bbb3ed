"""A seeded corpus of any size: real texts first, then mixtures of them, labelled as such.

The real rows are the documentation of installed packages (see `documents`), embedded by the hub's
own model. Every later row is a mixture: a normalised convex combination of two or three real
vectors plus a little noise, and a text put together from sentences of the same texts. Row n is the
same whatever the corpus is cut to, so 200,000 rows are the beginning of 1,000,000.

Fields are drawn apart from the content: a kind that half of the rows have, 20 projects, 1,000
topics as tags, sessions of 20 rows, systems of 25,000 rows. Questions come from a folder of
conversation files, else from documentation that was held back; none is part of the corpus.

Texts and vectors are made once and kept in a folder, by their content:

    python bench/corpus.py --cache ~/.cache/recalld-bench --rows 200000 --questions DIR

prints what there is. From code: `open_corpus(Options(folder))`, then `rows(start, stop)`,
`vectors(start, stop)` and `matrix(count)`; `load.Loader` puts them into a store.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from documents import excerpt
from narrowing import KIND_SHARES, KINDS, PROJECTS, TOPICS, Codes, Fields, name_of
from recall_wire.records import RECORD_SCHEMA, text_hash
from report import progress, publish
from sources import Options, Sources, Vectors, digest, open_sources

DIM = 384
BLOCK_ROWS = 10_000
SYSTEM_ROWS = 25_000
SESSION_ROWS = 20
NOISE = 0.1  # its length, beside a vector of length 1
THREE_PERCENT = 50  # of the mixtures have three texts, the others two
NEWEST = datetime(2026, 1, 1, tzinfo=UTC)
SPAN = timedelta(days=365)
_SPREAD = 2_654_435_761  # Knuth's multiplicative hash


def open_corpus(options: Options) -> Corpus:
    """From the folder the options name, or made and kept there: minutes, the first time."""
    return Corpus(options, open_sources(options))


@dataclass(frozen=True)
class Corpus:
    """Rows, vectors and fields by row number; made when asked for, always the same."""

    options: Options
    sources: Sources
    _last_block: dict[int, Vectors] = field(default_factory=dict, repr=False)

    def describe(self, rows: int) -> dict[str, Any]:
        """What the first `rows` rows are, for the output of a benchmark."""
        real = min(rows, self._real)
        return {
            "rows": rows,
            "real_texts": real,
            "mixtures_of_real_texts": rows - real,
            "questions": len(self.sources.questions),
            "questions_from": self.sources.questions_from,
            "embedder": self.options.embedder,
            "seed": self.options.seed,
        }

    def vectors(self, start: int, stop: int) -> Vectors:
        """Rows [start, stop), shape (n, 384), of length 1."""
        return np.concatenate([self._block(b)[low:high] for b, low, high in _blocks(start, stop)])

    def matrix(self, count: int) -> Vectors:
        """The first `count` vectors, written once to a file in the folder and mapped from it."""
        path = self.options.folder.expanduser() / f"matrix-{self._key}-{count}.f32"
        if not path.exists():
            progress(f"writing {count} vectors to {path}")
            rest = path.with_suffix(".rest")
            with rest.open("wb") as file:
                for block, low, high in _blocks(0, count):
                    file.write(self._block(block)[low:high].tobytes())
            rest.rename(path)
        return np.memmap(path, dtype=np.float32, mode="r", shape=(count, DIM))

    def fields(self, start: int, stop: int) -> Fields:
        parts = [self._fields(block)[:, low:high] for block, low, high in _blocks(start, stop)]
        return Fields(*np.concatenate(parts, axis=1))

    def rows(self, start: int, stop: int) -> pa.Table:
        """Rows [start, stop) as a merge takes them: the record schema, row_no and text_hash.

        The memory id is the row number in ten digits; a tag says `real` or `mixture`.
        """
        numbers = range(start, stop)
        codes = self.fields(start, stop)
        texts = [self._text(number) for number in numbers]
        times = pa.array([_time(number) for number in numbers], pa.timestamp("us", "UTC"))
        made = ["real" if number < self._real else "mixture" for number in numbers]
        topics = [name_of("topic", code) for code in codes.topic]
        columns = {
            "memory_id": [f"{number:010d}" for number in numbers],
            "kind": [KINDS[code] for code in codes.kind],
            "text": texts,
            "created_at": times,
            "updated_at": times,
            "project": [name_of("project", code) for code in codes.project],
            "session_id": [f"session-{number // SESSION_ROWS}" for number in numbers],
            "agent_id": [f"agent-{number // SESSION_ROWS % 7}" for number in numbers],
            "tags": [list(pair) for pair in zip(topics, made, strict=True)],
            "importance": [number % 6 / 10 for number in numbers],
            "metadata": ['{"source":"documentation"}'] * len(texts),
            "op": ["upsert"] * len(texts),
        }
        nothing = [None] * len(texts)
        arrays = [pa.array(columns.get(f.name, nothing), f.type) for f in RECORD_SCHEMA]
        return (
            pa.Table.from_arrays(arrays, schema=RECORD_SCHEMA)
            .append_column("row_no", pa.array(numbers, pa.int64()))
            .append_column("text_hash", pa.array([text_hash(t) for t in texts], pa.string()))
        )

    @property
    def _real(self) -> int:
        return len(self.sources.texts)

    def _text(self, number: int) -> str:
        if number < self._real:
            return self.sources.texts[number]
        return " ".join(self._excerpts[parent] for parent in self._parents(number))

    def _parents(self, number: int) -> list[int]:
        """The real texts of a mixture. No two mixtures begin with the same pair of them."""
        turn, first = divmod(number - self._real, self._real)
        second = (first + int(self._steps[turn])) % self._real
        third = (first * 31 + turn * 17 + 7) % self._real
        is_of_three = number * _SPREAD % 100 < THREE_PERCENT and third not in (first, second)
        return [first, second, third] if is_of_three else [first, second]

    @cached_property
    def _excerpts(self) -> list[str]:
        return [excerpt(text) for text in self.sources.texts]

    @cached_property
    def _steps(self) -> npt.NDArray[np.int64]:
        rng = np.random.default_rng([self.options.seed, 1])
        return rng.permutation(np.arange(1, self._real))

    @cached_property
    def _key(self) -> str:
        options = self.options
        return digest([options.seed, options.embedder, list(self.sources.texts)])

    def _block(self, block: int) -> Vectors:
        # Whoever takes a few rows at a time comes back to the same block.
        if block not in self._last_block:
            self._last_block.clear()
            self._last_block[block] = self._made_block(block)
        return self._last_block[block]

    def _made_block(self, block: int) -> Vectors:
        if (block + 1) * BLOCK_ROWS > self._real**2:
            raise ValueError(f"{self._real} real texts are too few for so many different rows")
        rng = np.random.default_rng([self.options.seed, 2, block])
        shares = rng.dirichlet(np.ones(3), BLOCK_ROWS).astype(np.float32)
        noise = rng.standard_normal((BLOCK_ROWS, DIM), dtype=np.float32) * NOISE / DIM**0.5
        start, real = block * BLOCK_ROWS, self.sources.text_vectors
        first_mixture = min(max(self._real - start, 0), BLOCK_ROWS)
        vectors = np.empty((BLOCK_ROWS, DIM), dtype=np.float32)
        vectors[:first_mixture] = real[start : start + first_mixture]
        for at in range(first_mixture, BLOCK_ROWS):
            parents = self._parents(start + at)
            vectors[at] = shares[at, : len(parents)] @ real[parents]
        mixed = vectors[first_mixture:]
        mixed /= np.linalg.norm(mixed, axis=1, keepdims=True)
        mixed += noise[first_mixture:]
        mixed /= np.linalg.norm(mixed, axis=1, keepdims=True)
        return vectors

    def _fields(self, block: int) -> Codes:
        rng = np.random.default_rng([self.options.seed, 3, block])
        kind = rng.choice(len(KINDS), BLOCK_ROWS, p=KIND_SHARES)
        project = np.repeat(rng.integers(0, PROJECTS, BLOCK_ROWS // SESSION_ROWS), SESSION_ROWS)
        topic = rng.integers(0, TOPICS, BLOCK_ROWS)
        return np.stack([kind, project, topic])


def _blocks(start: int, stop: int) -> list[tuple[int, int, int]]:
    """For rows [start, stop): block number, and which of its rows, from low to high."""
    found = []
    for block in range(start // BLOCK_ROWS, -(-stop // BLOCK_ROWS)):
        first = block * BLOCK_ROWS
        found.append((block, max(start - first, 0), min(stop - first, BLOCK_ROWS)))
    return found


def _time(number: int) -> datetime:
    """Sessions lie anywhere in the span; their rows follow each other by 40 seconds."""
    session, turn = divmod(number, SESSION_ROWS)
    share = session * _SPREAD % (1 << 32) / (1 << 32)
    return NEWEST - SPAN * (1 - share) + timedelta(seconds=40 * turn)


def add_options(parser: argparse.ArgumentParser) -> None:
    """The corpus's own options, the same for each benchmark."""
    parser.add_argument("--cache", type=Path, default=Options.folder, help="where it is kept")
    parser.add_argument("--questions", type=Path, help="folder of conversation files")
    parser.add_argument("--texts", type=int, default=Options.texts, help="real texts at most")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--embedder", choices=("minilm", "hash"), default="minilm")
    parser.add_argument("--json", type=Path, help="write the result here, too")


def options_of(given: argparse.Namespace) -> Options:
    return Options(given.cache, given.questions, given.texts, given.seed, given.embedder)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    add_options(parser)
    parser.add_argument("--rows", type=int, default=200_000)
    arguments = parser.parse_args()
    corpus = open_corpus(options_of(arguments))
    lengths = [len(text) for text in corpus.sources.texts]
    result = {
        "benchmark": "corpus",
        **corpus.describe(arguments.rows),
        "real_texts_there": len(lengths),
        "real_text_chars_mean": round(sum(lengths) / len(lengths), 1),
        "vector_bytes": corpus.matrix(arguments.rows).nbytes,
        "last_row": corpus.rows(arguments.rows - 1, arguments.rows)["text"][0].as_py(),
    }
    publish(result, arguments.json)


if __name__ == "__main__":
    main()
