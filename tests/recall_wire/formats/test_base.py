"""What the readers of every format share: their notes."""

from __future__ import annotations

from recall_wire.formats.base import Notes
from recall_wire.records import MEMORY_ID_MAX_CHARS


def test_the_first_example_is_named_and_never_cut() -> None:
    notes = Notes()
    longest = "x" * MEMORY_ID_MAX_CHARS
    for example in (longest, "b"):
        notes.add("was odd", example)
    assert notes.sentences() == [f"2 rows was odd (first: {longest})"]


def test_what_is_longer_than_an_id_is_not_shown() -> None:
    notes = Notes()
    notes.skip("was long", "x" * (MEMORY_ID_MAX_CHARS + 1))
    assert (notes.sentences(), notes.skipped) == (["1 row was long"], 1)
