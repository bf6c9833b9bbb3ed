"""Windows cover every word, overlap, end with sentences, and fit the model."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recall_daemon.embed.hashing import HashEmbedder
from recall_daemon.embed.passages import (
    MAX_TEXT_CHARS,
    MAX_WINDOWS,
    OVERLAP_TOKENS,
    WINDOW_CHARS,
    WINDOW_TOKENS,
    Span,
    Words,
    cut,
)

SENTENCE = "The deploy waited for a lock that nobody held. "


def words_of(text: str, tokens: list[int] | None = None) -> Words:
    """Words between single spaces, each one token unless said."""
    lengths = np.array([len(word) for word in text.split(" ")], dtype=np.int64)
    starts = np.concatenate([[0], np.cumsum(lengths + 1)[:-1]])
    counts = np.array(tokens or [1] * len(lengths), dtype=np.int64)
    return Words(starts, starts + lengths, counts)


def test_a_text_that_fits_is_one_window_from_its_first_to_its_last_character() -> None:
    text = " ".join(["word"] * WINDOW_TOKENS)
    assert cut(text, words_of(text)) == [(0, len(text))]
    assert len(cut(text + " word", words_of(text + " word"))) == 2


@given(st.lists(st.integers(1, 100), min_size=1, max_size=2_000), st.integers(1, 9))
@settings(max_examples=80, deadline=None)
def test_windows_hold_whole_words_of_at_most_254_tokens_and_cover_all(
    tokens: list[int], length: int
) -> None:
    text = " ".join("x" * length for _ in tokens)
    words = words_of(text, tokens)
    spans = cut(text, words)

    upto = np.concatenate([[0], np.cumsum(tokens)])
    first = np.searchsorted(words.starts, [span.start for span in spans])
    last = np.searchsorted(words.ends, [span.end for span in spans], "right")
    assert (upto[last] - upto[first] <= WINDOW_TOKENS).all()
    assert (first[1:] <= last[:-1]).all()
    assert (first[1:] > first[:-1]).all()
    assert (int(first[0]), int(last[-1])) == (0, len(tokens))
    assert (upto[last[:-1]] - upto[first[1:]] <= OVERLAP_TOKENS).all()


def test_windows_begin_and_end_with_sentences_where_they_can() -> None:
    text = SENTENCE * 200
    spans = cut(text, words_of(text.strip()))
    assert len(spans) > 5
    for span in spans:
        passage = text[span.start : span.end]
        assert passage.startswith("The deploy")
        assert passage.endswith("held.")


def test_neighbours_overlap_by_about_a_fifth() -> None:
    text = " ".join(["word"] * 5_000)
    spans = cut(text, words_of(text))
    overlaps = [(one.end - two.start) / 5 for one, two in pairwise(spans)]
    assert {round(overlap) for overlap in overlaps} == {OVERLAP_TOKENS}


def test_an_accent_stays_with_its_letter() -> None:
    text = "e\u0301 " * 300
    words = Words(np.arange(300) * 3, np.arange(300) * 3 + 1, np.ones(300, dtype=np.int64))
    assert all(text[span.start : span.end].endswith("e\u0301") for span in cut(text, words))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "\0" * 200_000,
        " " * 200_000,
        "\ud800 lone " * 2_000,
        "x" * 1_000_000,
        "数据库在夜间备份时" * 20_000,
        "." * 100_000,
        "word " * (MAX_TEXT_CHARS // 4),
    ],
    ids=["empty", "nul", "blank", "surrogate", "one word", "chinese", "dots", "long"],
)
def test_the_hash_embedder_cuts_any_text(text: str) -> None:
    (spans,) = HashEmbedder().windows([text])
    assert 1 <= len(spans) <= MAX_WINDOWS
    assert all(0 <= s.start <= s.end <= len(text) for s in spans)
    assert all(s.end - s.start <= WINDOW_CHARS for s in spans)


def test_the_end_of_a_transcript_is_in_the_last_window() -> None:
    text = SENTENCE * 1_300 + "The vault code is 4711."
    (spans,) = HashEmbedder().windows([text])
    assert spans[0].start == 0
    assert text[spans[-1].start : spans[-1].end].endswith("The vault code is 4711.")
    assert spans[-1] != Span(0, len(text))
