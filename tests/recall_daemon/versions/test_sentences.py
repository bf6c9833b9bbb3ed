"""Texts merged sentence by sentence."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recall_daemon.versions.sentences import SENTENCES_MAX, diff, merged_text, sentences

BASE = "The key is red. It lies in the drawer. Nobody else has one."


@pytest.mark.parametrize(
    ("ours", "theirs", "merged"),
    [
        (BASE, BASE, BASE),
        (BASE.replace("red", "blue"), BASE, BASE.replace("red", "blue")),
        (
            BASE.replace("red", "blue"),
            BASE.replace("Nobody", "Somebody"),
            BASE.replace("red", "blue").replace("Nobody", "Somebody"),
        ),
        (BASE.replace("red", "blue"), BASE.replace("red", "green"), None),
        (BASE.replace("red", "blue"), BASE.replace("red", "blue"), BASE.replace("red", "blue")),
        (
            "It is old. " + BASE,
            BASE.replace("Nobody", "Somebody"),
            "It is old. " + BASE.replace("Nobody", "Somebody"),
        ),
        ("It is old. " + BASE, "It is new. " + BASE, None),
        (BASE.replace("It lies in the drawer. ", ""), BASE.replace("drawer", "box"), None),
        (
            BASE.replace("The key is red. ", ""),
            BASE.replace("Nobody", "Somebody"),
            BASE.replace("The key is red. ", "").replace("Nobody", "Somebody"),
        ),
    ],
)
def test_edits_of_different_sentences_are_merged(
    ours: str, theirs: str, merged: str | None
) -> None:
    assert merged_text(BASE, ours, theirs) == merged
    assert merged_text(BASE, theirs, ours) == merged


@given(st.text(alphabet="ab.!? \n。", max_size=60))
def test_the_sentences_are_the_text(text: str) -> None:
    assert "".join(sentences(text)) == text


@given(st.lists(st.sampled_from(["A. ", "B. ", "C. ", "D. "]), max_size=5).map("".join), st.data())
def test_one_side_alone_is_taken_as_it_is(base: str, data: st.DataObject) -> None:
    other = data.draw(st.lists(st.sampled_from(["A. ", "B. ", "E. "]), max_size=5).map("".join))
    assert merged_text(base, other, base) == other
    assert merged_text(base, base, other) == other


def test_too_many_changed_sentences_are_for_a_person() -> None:
    base = "".join(f"Line {number}. " for number in range(SENTENCES_MAX + 2))
    ours = base.replace("Line", "Row")
    assert merged_text(base, ours, base + "More.") is None
    assert merged_text(base, base.replace("Line 7.", "Row 7."), base + "More.") is not None


def test_texts_that_repeat_a_few_sentences_very_often_are_for_a_person() -> None:
    often = "Yes. No. " * 500
    base, ours, theirs = (f"{name}. {often}{name}." for name in "XAB")
    assert merged_text(base, ours, theirs) is None
    assert merged_text(base, f"A. {often}X.", f"X. {often}B.") == f"A. {often}B."


def test_a_diff_is_by_sentence_and_of_what_would_take_too_long_all_between_the_ends() -> None:
    assert diff("Same. One. End.", "Same. Two. End.")[3:] == [" Same.", "-One.", "+Two.", " End."]
    assert diff("Same.", "Same.") == []
    often = "Yes. No. " * 500
    lines = diff(f"Same. A. {often}A. End.", f"Same. B. {often}B. End.")
    assert lines[:4] == ["--- ours", "+++ theirs", "@@ -2,1002 +2,1002 @@", "-A."]
    assert (len(lines), lines[-1]) == (3 + 2 * 1002, "+B.")
