"""The rank-sum test, against figures worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from not_yours import rank_sum


def test_against_a_table() -> None:
    # U = 1 of 12 pairs; without ties the variance is 3 * 4 * 8 / 12 = 8, so z = -5 / 8 ** 0.5.
    found = rank_sum([1.0, 2.0, 4.0], [3.0, 5.0, 6.0, 7.0])
    assert found["longer"] == pytest.approx(1 / 12, abs=1e-4)
    assert found["p_value"] == pytest.approx(0.0771, abs=1e-4)


def test_ties_count_half() -> None:
    assert rank_sum([1.0, 1.0], [1.0, 1.0, 1.0]) == {"longer": 0.5, "p_value": 1.0}


def test_a_shift_of_a_tenth_of_the_spread_is_found_in_ten_thousand() -> None:
    chance = np.random.default_rng(0)
    some, others = chance.normal(0.1, 1, 10_000), chance.normal(0, 1, 10_000)
    assert rank_sum(some, others)["p_value"] < 1e-6
    assert rank_sum(chance.normal(0, 1, 10_000), others)["p_value"] > 0.01
