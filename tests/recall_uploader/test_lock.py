"""One run at a time."""

from __future__ import annotations

from pathlib import Path

import pytest

from recall_uploader.errors import StateBusy
from recall_uploader.lock import exclusive


def test_a_second_run_waits_and_then_says_so(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    waits: list[float] = []

    with (
        exclusive(path, wait_s=0),
        pytest.raises(StateBusy, match="another recall run"),
        exclusive(path, wait_s=1, sleep=waits.append),
    ):
        pytest.fail("both hold it")
    assert sum(waits) == pytest.approx(1, abs=0.11)


def test_it_is_free_again_after_an_error(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with pytest.raises(KeyboardInterrupt), exclusive(path, wait_s=0):
        raise KeyboardInterrupt
    with exclusive(path, wait_s=0):
        assert path.exists()


def test_a_waiting_run_goes_on_when_the_first_one_ends(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    first = exclusive(path, wait_s=0)
    first.__enter__()

    def end_the_first(_: float) -> None:
        first.__exit__(None, None, None)

    with exclusive(path, wait_s=5, sleep=end_the_first):
        assert path.exists()
