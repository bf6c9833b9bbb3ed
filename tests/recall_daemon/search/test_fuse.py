"""Two scores into one."""

from __future__ import annotations

import pytest

from recall_daemon.search.fuse import MEANING_WEIGHT, fuse


def test_the_weights_and_the_normalisation():
    fused = fuse([1, 2, 3], {1: 1.0, 2: 0.5, 3: -0.4}, {1: 10.0, 3: 20.0})
    weight = MEANING_WEIGHT
    assert fused == pytest.approx([weight + (1 - weight) / 2, weight / 2, 1 - weight])


def test_without_meaning_the_words_alone_count():
    assert fuse([1, 2], None, {2: 4.0}) == [0.0, 1.0]


def test_a_row_without_a_vector_stands_at_the_average_meaning():
    fused = fuse([1, 2, 3], {1: 0.8, 2: 0.2}, {})
    assert fused[0] > fused[2] > fused[1]


@pytest.mark.parametrize("meanings", [None, {}, {1: 1.0001, 2: -1.0}])
@pytest.mark.parametrize("words", [{}, {1: 0.0}, {1: 3.0, 2: 1e-9}])
def test_scores_stay_between_0_and_1(meanings, words):
    assert all(0 <= score <= 1 for score in fuse([1, 2], meanings, words))


def test_no_candidates():
    assert fuse([], {}, {}) == []
