"""How long merges wait for a stage: each observed once, when the stage was reached."""

from __future__ import annotations

import pytest

from recall_daemon.lags import Lags
from recall_daemon.metrics import REGISTRY


def observed(stage: str) -> tuple[float, float]:
    """How many, and the sum of their seconds."""
    labels = {"stage": stage}
    count = REGISTRY.get_sample_value("recalld_lag_seconds_count", labels) or 0.0
    return count, REGISTRY.get_sample_value("recalld_lag_seconds_sum", labels) or 0.0


def test_what_was_merged_before_has_reached_the_stage_and_nothing_else() -> None:
    clock, told = [100.0], []
    lags = Lags(lambda: told.append(1), lambda: clock[0])
    words, vectors = observed("words"), observed("vectors")
    lags.merged()
    clock[0] = 103.0
    lags.merged()
    assert len(told) == 2
    with lags.reaching("words"):
        clock[0] = 105.0
        lags.merged()
    assert observed("words") == (words[0] + 2, words[1] + 5.0 + 2.0)
    with lags.reaching("words"):
        clock[0] = 106.0
    assert observed("words") == (words[0] + 3, words[1] + 8.0)
    assert observed("vectors") == vectors


def test_a_stage_that_failed_was_not_reached() -> None:
    clock = [0.0]
    lags = Lags(lambda: None, lambda: clock[0])
    before = observed("vectors")
    lags.merged()

    def fail() -> None:
        with lags.reaching("vectors"):
            lags.merged()
            raise OSError("the stage failed")

    with pytest.raises(OSError, match="stage failed"):
        fail()
    assert observed("vectors") == before
    clock[0] = 7.0
    with lags.reaching("vectors"):
        pass
    assert observed("vectors") == (before[0] + 2, before[1] + 14.0)
