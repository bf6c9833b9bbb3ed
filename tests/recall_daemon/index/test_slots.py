"""A slot for each distinct text, in the order of appearance."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recall_daemon.index import slots
from recall_daemon.index.slots import Keys, TextSlots

# Few halves, so that hashes share one and not the other.
_HALF = st.sampled_from([0, 1, 2, (1 << 64) - 1])
_BATCHES = st.lists(st.lists(st.tuples(_HALF, _HALF), max_size=20), max_size=6)


@given(batches=_BATCHES)
@pytest.mark.parametrize("recent", [0, 5, 1_000])
def test_slots_are_given_out_as_texts_appear(recent: int, batches: list[list[tuple[int, int]]]):
    """With any bound of what is looked up in a dict, and however the texts come."""
    given_out, expected = TextSlots(), {}
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(slots, "_RECENT_MAX", recent)
        for batch in batches:
            own = [expected.setdefault(pair, len(expected)) for pair in batch]
            assert given_out.of_keys(_keys(batch)).tolist() == own
    assert len(given_out) == len(expected)
    assert given_out.find(_keys(list(expected))).tolist() == list(expected.values())


def _keys(pairs: list[tuple[int, int]]) -> Keys:
    return Keys(
        np.asarray([high for high, _ in pairs], dtype=np.uint64),
        np.asarray([low for _, low in pairs], dtype=np.uint64),
    )
