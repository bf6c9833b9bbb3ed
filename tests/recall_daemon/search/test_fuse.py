"""Words and meaning, one's own and the neighbours', into one score."""

from __future__ import annotations

import numpy as np
import pytest

from recall_daemon.index.words_view import Coverage
from recall_daemon.search.fuse import BM25_WEIGHT, LENT, MEANING_WEIGHT, fuse
from recall_daemon.search.pool import Pool

NAN = np.nan


def pool(
    *,
    meaning=None,
    holds=None,
    weights=(),
    bm25=None,
    passages=None,
    following=None,
    found=None,
):
    """A pool whose rows, where nothing else is said, are candidates that hold no term."""
    known = next(x for x in (meaning, bm25, holds, following) if x is not None)
    count = len(known)
    if holds is None:
        holds = np.zeros((count, len(weights)))
    return Pool(
        row_ids=np.arange(1, count + 1),
        meaning=None if meaning is None else np.asarray(meaning, dtype=np.float64),
        bm25=np.asarray([0.0] * count if bm25 is None else bm25, dtype=np.float64),
        coverage=Coverage(
            [f"t{n}" for n in range(len(weights))],
            np.asarray(weights, dtype=np.float64),
            np.asarray(holds, dtype=np.bool_).reshape(count, len(weights)),
            np.zeros(count, dtype=np.uint64),
        ),
        passages=np.asarray([0] * count if passages is None else passages, dtype=np.int64),
        next=np.asarray([-1] * count if following is None else following, dtype=np.int64),
        found=np.asarray([True] * count if found is None else found, dtype=np.bool_),
        may_hit=np.ones(count, dtype=np.bool_),
        full=False,
    )


def test_the_weights_and_the_normalisation():
    rows = pool(
        meaning=[1.0, 0.5, -0.4],
        weights=[3.0, 1.0],
        holds=[[1, 1], [0, 1], [0, 0]],
        bm25=[4.0, 1.0, 0.0],
    )
    words = 1 - BM25_WEIGHT
    expected = [
        MEANING_WEIGHT + (1 - MEANING_WEIGHT),
        MEANING_WEIGHT * 0.5 + (1 - MEANING_WEIGHT) * (words / 4 + BM25_WEIGHT / 4),
        0.0,
    ]
    assert fuse(rows, "hybrid").score == pytest.approx(expected)


def test_neighbours_lend_half_and_a_quarter_in_both_directions():
    rows = pool(meaning=[0.0, 0.0, 1.0, 0.0, 0.0, 0.0], following=[1, 2, 3, 4, 5, -1])
    above = 1 - 1 / 6
    lent = fuse(rows, "hybrid").lent_meaning
    assert lent == pytest.approx([above / 4, above / 2, 0, above / 2, above / 4, 0])


def test_a_term_that_a_neighbour_holds_counts_for_a_share_and_only_once():
    rows = pool(
        weights=[2.0, 2.0],
        holds=[[1, 0], [1, 1], [0, 1], [0, 0]],
        bm25=[2.0, 4.0, 2.0, 0.0],
        following=[1, 2, 3, -1],
    )
    held = fuse(rows, "hybrid").held
    assert held.tolist() == [[1, LENT[0]], [1, 1], [LENT[0], 1], [LENT[1], LENT[0]]]


def test_a_neighbour_that_is_no_nearer_than_the_average_lends_nothing():
    rows = pool(meaning=[0.8, 0.5, 0.2], following=[1, 2, -1])
    fused = fuse(rows, "hybrid")
    assert fused.average_meaning == pytest.approx(0.5)
    assert fused.lent_meaning == pytest.approx([0.0, 0.15, 0.075])


def test_what_is_no_candidate_does_not_move_the_average():
    rows = pool(meaning=[0.8, 0.0], found=[True, False])
    assert fuse(rows, "hybrid").average_meaning == pytest.approx(0.8)


def test_a_row_without_a_session_keeps_its_score():
    alone = fuse(pool(meaning=[0.9, 0.5], weights=[1.0], holds=[[1], [0]], bm25=[1, 0]), "hybrid")
    beside = fuse(
        pool(
            meaning=[0.9, 0.5, 0.7, 0.7],
            weights=[1.0],
            holds=[[1], [0], [1], [1]],
            bm25=[1, 0, 1, 1],
            following=[-1, -1, 3, -1],
        ),
        "hybrid",
    )
    assert beside.score[:2] == pytest.approx(alone.score)


def test_without_meaning_the_words_alone_count():
    rows = pool(weights=[1.0], holds=[[0], [1]], bm25=[0.0, 4.0])
    assert fuse(rows, "hybrid").score == pytest.approx([0.0, 1.0])


def test_a_long_text_counts_for_less_than_a_short_one_with_the_same_words():
    rows = pool(weights=[4.0, 4.0], holds=[[1, 1], [1, 1], [1, 0]], bm25=[8.0, 0.8, 3.0])
    score = fuse(rows, "hybrid").score
    assert score[0] > score[2] > score[1]


def test_a_row_without_a_vector_stands_at_the_average_meaning():
    score = fuse(pool(meaning=[0.8, 0.2, NAN]), "hybrid").score
    assert score[0] > score[2] > score[1]


def test_one_mode_is_one_score():
    rows = pool(
        meaning=[0.1, 0.9], weights=[1.0], holds=[[1], [0]], bm25=[2.0, 1.0], following=[1, -1]
    )
    assert fuse(rows, "words").score.tolist() == [1.0, 0.5]
    assert fuse(rows, "meaning").score.tolist() == pytest.approx([0.1, 0.9])


@pytest.mark.parametrize("meaning", [None, [NAN, NAN, NAN], [1.0001, -1.0, 1.0]])
@pytest.mark.parametrize("bm25", [[0.0, 0.0, 0.0], [3.0, 1e-9, 0.0]])
@pytest.mark.parametrize("mode", ["hybrid", "words", "meaning"])
def test_scores_stay_between_0_and_1(meaning, bm25, mode):
    rows = pool(
        meaning=meaning,
        bm25=bm25,
        weights=[5.0, 0.1],
        holds=[[1, 1], [0, 1], [1, 1]],
        following=[1, 2, -1],
    )
    score = fuse(rows, mode).score
    assert ((score >= 0) & (score <= 1)).all()


@pytest.mark.parametrize("mode", ["hybrid", "words", "meaning"])
def test_no_candidates(mode):
    assert fuse(pool(meaning=[]), mode).score.tolist() == []


def test_in_a_long_text_a_common_term_tells_nothing_and_a_rare_one_what_it_tells_elsewhere():
    common, rare = np.log(4), np.log(10_000)
    both = [[1, 1]] * 2
    fused = fuse(pool(weights=[rare, common], holds=both, passages=[60, 1]), "hybrid")
    assert fused.held[0] == pytest.approx([(1 - 1e-4) ** 59, 0.75**59])
    assert fused.held[1] == pytest.approx([1, 1])
