"""The corpus: the same rows every time, none twice, and filters that keep what they say."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from corpus import Corpus
from documents import EXCERPT_CHARS, MAX_CHARS, excerpt
from exact import exact, recall
from narrowing import SHARES
from sides import Answer
from sources import Options, Sources

TEXTS = [
    f"Sentence {n} speaks of one thing. The second one, number {n}, says more. It ends with {n}."
    for n in range(200)
]


def unit(count: int, seed: int) -> np.ndarray:
    matrix = np.random.default_rng(seed).standard_normal((count, 384), dtype=np.float32)
    return np.asarray(matrix / np.linalg.norm(matrix, axis=1, keepdims=True))


@pytest.fixture
def corpus(tmp_path: Path) -> Corpus:
    sources = Sources(TEXTS, unit(200, 1), ["who?", "what?", "when?"], unit(3, 2), "a test")
    return Corpus(Options(tmp_path), sources)


def test_a_row_does_not_depend_on_how_many_are_made(corpus: Corpus) -> None:
    assert np.array_equal(corpus.vectors(0, 12_000)[9_990:11_000], corpus.vectors(9_990, 11_000))
    assert corpus.rows(0, 2_000).slice(990, 20) == corpus.rows(990, 1_010)
    again = Corpus(corpus.options, corpus.sources)
    assert np.array_equal(again.vectors(500, 600), corpus.vectors(500, 600))


def test_more_rows_than_texts_can_be_paired_are_refused(corpus: Corpus) -> None:
    with pytest.raises(ValueError, match="too few"):
        corpus.vectors(39_000, 41_000)


def test_real_rows_come_first_then_mixtures_of_length_one(corpus: Corpus) -> None:
    assert np.array_equal(corpus.vectors(0, 200), corpus.sources.text_vectors)
    assert np.allclose(np.linalg.norm(corpus.vectors(200, 2_000), axis=1), 1, atol=1e-5)
    made = [tags[1] for tags in corpus.rows(150, 250)["tags"].to_pylist()]
    assert made == ["real"] * 50 + ["mixture"] * 50
    assert corpus.describe(300)["mixtures_of_real_texts"] == 100


def test_no_text_comes_twice(corpus: Corpus) -> None:
    rows = corpus.rows(0, 20_000)
    assert len(set(rows["text_hash"].to_pylist())) == 20_000
    assert all(len(text) <= MAX_CHARS for text in rows["text"].to_pylist())


@pytest.mark.parametrize("narrowing", SHARES)
def test_a_filter_keeps_its_share(corpus: Corpus, narrowing: str) -> None:
    kept = corpus.fields(0, 100_000).kept(narrowing, question=3).mean()
    assert kept == pytest.approx(SHARES[narrowing], rel=0.35)


def test_exact_is_what_a_plain_scan_with_the_filter_finds(corpus: Corpus) -> None:
    truth = exact(corpus, 2_450, range(3))
    scores = corpus.sources.question_vectors @ corpus.vectors(0, 2_450).T
    for narrowing, found in truth.items():
        for question in range(3):
            kept = corpus.fields(0, 2_450).kept(narrowing, question)
            order = [row for row in np.argsort(-scores[question]) if kept[row]]
            assert [row for row in found[question] if row >= 0] == order[:10]


def test_recall_takes_rows_that_came_in_since_out_of_both() -> None:
    truth = np.array([list(range(10))])
    assert recall([Answer(0, 0.1, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9])], truth, 100) == 1.0
    assert recall([Answer(0, 0.1, [0, 1, 2, 3, 4, 5, 6, 7, 8, 50])], truth, 100) == 0.9
    assert recall([Answer(0, 0.1, [200, 0, 1, 2, 3, 4, 5, 6, 7, 8])], truth, 100) == 1.0
    assert recall([Answer(0, 0.1, [200, 0, 1, 2, 3, 4, 5, 6, 7, 50])], truth, 100) == round(
        8 / 9, 4
    )
    few = np.array([[4, 5, -1, -1, -1, -1, -1, -1, -1, -1]])
    assert recall([Answer(0, 0.1, [5])], few, 100) == 0.5


def test_an_excerpt_is_whole_sentences_around_the_longest() -> None:
    long = "This one is the longest of the three sentences that stand here, and is to be kept."
    assert (
        excerpt(f"Short. {long} After it comes another one.")
        == f"{long} After it comes another one."
    )
    assert len(excerpt("a" * 2_000)) == EXCERPT_CHARS
