"""Which memories belong together: 3 to 10, each pair from a cosine of .7 on, the same each time."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recall_daemon.agents.upkeep.grouping import (
    MEMBERS_MAX,
    MEMBERS_MIN,
    SIMILARITY,
    Vectors,
    groups,
)


def at(*degrees: float) -> Vectors:
    """Unit vectors in a plane, by their angles."""
    radians = np.radians(degrees)
    return np.stack([np.cos(radians), np.sin(radians)], axis=1).astype(np.float32)


LIMIT = math.degrees(math.acos(SIMILARITY))


def test_three_related_ones_make_a_group_and_two_do_not() -> None:
    assert groups(at(0, 1, 2)) == [[0, 1, 2]]
    assert groups(at(0, 1, 90)) == []
    assert groups(at()) == []


@pytest.mark.parametrize(("angle", "related"), [(LIMIT, True), (LIMIT + 0.1, False)])
def test_related_is_a_cosine_of_seven_tenths(angle: float, related: bool) -> None:
    assert groups(at(0, 0, angle)) == ([[0, 1, 2]] if related else [])


def test_each_is_related_to_each() -> None:
    assert groups(at(0, LIMIT - 1, -LIMIT + 1)) == []


def test_at_most_ten_make_a_group_and_the_rest_another() -> None:
    assert groups(at(*[0] * 13)) == [list(range(10)), [10, 11, 12]]
    assert groups(at(*[0] * 12)) == [list(range(10))]


def test_one_that_was_left_over_joins_a_later_one() -> None:
    assert groups(at(0, LIMIT - 1, LIMIT + 1, -LIMIT + 2, -LIMIT + 3)) == [[0, 3, 4]]


@given(st.lists(st.floats(0, 360), max_size=40))
def test_groups_are_disjoint_within_bounds_and_the_same_each_time(degrees: list[float]) -> None:
    vectors = at(*degrees)
    found = groups(vectors)
    assert found == groups(vectors.copy())
    members = [member for group in found for member in group]
    assert len(members) == len(set(members))
    for group in found:
        assert MEMBERS_MIN <= len(group) <= MEMBERS_MAX
        cosines = vectors[group] @ vectors[group].T
        assert cosines.min() >= SIMILARITY - 2e-5
