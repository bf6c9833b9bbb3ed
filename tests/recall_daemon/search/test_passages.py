"""Which part of a long text a hit shows."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recall_daemon.search.passages import WINDOW_CHARS, best_passage

FILLER = "Nothing of note was said in this part of the log. "


def passage(text, *, sought=(), phrases=(), near=None):
    return best_passage(text, sought=sought, phrases=phrases, near=lambda: near)


def test_a_short_text_is_its_own_passage():
    found = passage("short", near=(1, 3))
    assert (found.start, found.end, found.text) == (0, 5, "short")


def test_of_a_long_text_the_part_that_is_nearest_in_meaning():
    text = FILLER * 100
    found = passage(text, near=(500, 900))
    assert (found.start, found.end) == (500, 900)
    assert found.text == text[500:900]


@pytest.mark.parametrize("near", [None, (0, None), (4_000, 9_999_999), (9, 9)])
def test_without_one_the_part_with_most_of_the_words(near):
    text = FILLER * 60 + "The zebra broker lost its quorum. " + FILLER * 60 + "A zebra." + FILLER
    found = passage(text, sought=["zebra", "quorum"], near=near)
    assert "The zebra broker lost its quorum." in found.text
    assert len(found.text) <= WINDOW_CHARS


def test_a_phrase_that_is_held_comes_before_meaning():
    text = FILLER * 60 + "It said: zebra,  Broker lost. " + FILLER * 60
    found = passage(text, phrases=["absent words", "zebra broker"], near=(0, 200))
    assert "zebra,  Broker" in found.text


@pytest.mark.parametrize(
    ("said", "phrase"),
    [
        ("THE Blue-Green switch", "the blue green SWITCH"),
        ("the \u017ftate machine", "state machine"),
        ("\u212aelvin scale", "kelvin scale"),
        ("in istanbul today", "in \u0131stanbul"),
    ],
)
def test_a_phrase_is_held_whatever_the_letters_it_is_written_with(said, phrase):
    text = FILLER * 50 + said + ". " + FILLER * 50
    found = passage(text, phrases=[phrase], near=(0, 10))
    assert found.start < text.index(said) < found.end


def test_a_part_of_a_phrase_is_no_phrase():
    text = FILLER * 50 + "state. " + FILLER * 50
    assert passage(text, phrases=["state machine"], near=(0, 10)).end == 10


def test_no_word_at_all_shows_the_beginning():
    assert passage(FILLER * 60, sought=["zebra"]).start == 0


@given(
    st.text(max_size=2_000),
    st.lists(st.text(max_size=10), max_size=4),
    st.lists(st.text(max_size=20), max_size=3),
)
def test_a_passage_is_what_it_says_it_is(text, sought, phrases):
    found = passage(text, sought=sought, phrases=phrases)
    assert 0 <= found.start <= found.end <= len(text)
    assert found.text == text[found.start : found.end]


def test_a_huge_text_and_a_long_phrase_take_no_time():
    text = "aaaa " * 100_000
    found = passage(text, sought=["aaaa"] * 1_000, phrases=["aaaa " * 20_000 + "c"])
    assert len(found.text) <= WINDOW_CHARS
