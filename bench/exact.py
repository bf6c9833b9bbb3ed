"""The exact answer: every question against every row in f32, with each filter."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean

import numpy as np
import numpy.typing as npt

from corpus import Corpus
from narrowing import SHARES
from report import progress
from sides import TOP, Answer

CHUNK_ROWS = 20_000
NOTHING = -1

# By filter, shape (questions, TOP): row numbers, best first; NOTHING where fewer rows pass.
Truth = dict[str, npt.NDArray[np.int64]]


def exact(corpus: Corpus, rows: int, questions: Sequence[int]) -> Truth:
    """The nearest `TOP` of the first `rows` rows, by inner product."""
    progress(f"exact answers over {rows} rows")
    asked = corpus.sources.question_vectors[list(questions)]
    matrix = corpus.matrix(rows)
    best = {name: _Best(len(questions)) for name in SHARES}
    for start in range(0, rows, CHUNK_ROWS):
        stop = min(start + CHUNK_ROWS, rows)
        scores = asked @ matrix[start:stop].T
        fields = corpus.fields(start, stop)
        for name, kept in best.items():
            passes = np.stack([fields.kept(name, question) for question in questions])
            kept.take(np.where(passes, scores, -np.inf), start)
    return {name: kept.rows for name, kept in best.items()}


class _Best:
    """The best rows so far of each question."""

    def __init__(self, questions: int) -> None:
        self.rows = np.full((questions, TOP), NOTHING, dtype=np.int64)
        self._scores = np.full((questions, TOP), -np.inf, dtype=np.float32)

    def take(self, scores: npt.NDArray[np.float32], first_row: int) -> None:
        some = min(TOP, scores.shape[1])
        at = np.argpartition(-scores, some - 1, axis=1)[:, :some]
        found = np.take_along_axis(scores, at, axis=1)
        rows = np.where(np.isfinite(found), at + first_row, NOTHING)
        all_scores = np.concatenate([self._scores, found], axis=1)
        all_rows = np.concatenate([self.rows, rows], axis=1)
        order = np.argsort(-all_scores, axis=1, kind="stable")[:, :TOP]
        self._scores = np.take_along_axis(all_scores, order, axis=1)
        self.rows = np.take_along_axis(all_rows, order, axis=1)


def recall(answers: Sequence[Answer], truth: npt.NDArray[np.int64], rows: int) -> float | None:
    """Mean share of the exact ten (or fewer, where fewer pass) that were found.

    `truth` is by question number. Rows that came in since are taken out of the answer, and as many
    of the worst out of the exact ten.
    """
    shares = []
    for answer in answers:
        old = [row for row in answer.rows if row < rows]
        wanted = [row for row in truth[answer.question].tolist() if row != NOTHING]
        wanted = wanted[: max(len(wanted), TOP) - (len(answer.rows) - len(old))]
        if wanted:
            shares.append(len(set(old) & set(wanted)) / len(wanted))
    return round(fmean(shares), 4) if shares else None
