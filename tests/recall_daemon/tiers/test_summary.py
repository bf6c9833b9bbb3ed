"""A summary is the text's own words, short, and the same each time."""

from __future__ import annotations

import unicodedata

import pytest

from recall_daemon.tiers.summary import SUMMARY_CHARS, beginning, summarise

PROSE = (
    "We met at noon. The cache of the search service must be bounded in bytes. "
    "Lunch was good. The search service evicts the least recently used cache entries. "
    "It rained all day. A bounded cache keeps the search service within its memory. "
    "Bob wore a green hat. "
)
CODE = "\n".join(f"def handler_{n}(request):\n    return cache.lookup(request)" for n in range(40))
LOG = "\n".join(f"2026-01-01 00:00:{n:02d} INFO worker started" for n in range(60))
CHINESE = "今天天气很好。" + "缓存必须有上限而且最少使用的条目先被删除。" * 3 + "午饭不错。" * 60
FAMILY = "👩\u200d👩\u200d👧\u200d👦"
LONG = [PROSE, CODE, LOG, CHINESE, FAMILY * 100, "x" * 5_000, "word " * 3_000, "\0" * 300]


@pytest.mark.parametrize("text", [None, "", "short", "y" * SUMMARY_CHARS])
def test_a_short_text_needs_none(text: str | None) -> None:
    assert summarise(text) is None


@pytest.mark.parametrize("text", LONG)
def test_it_is_one_short_line_of_the_texts_own_words(text: str) -> None:
    summary = summarise(text)
    assert summary is not None
    assert len(summary) <= SUMMARY_CHARS
    assert "\n" not in summary
    assert summary == summarise(text)
    flat = " ".join(text.replace("\0", " ").split())
    for piece in summary.removesuffix("…").split(" … "):
        assert all(part in flat for part in piece.split(" "))


def test_it_says_what_most_of_the_text_is_about() -> None:
    summary = summarise(PROSE) or ""
    assert "cache" in summary
    assert "hat" not in summary
    assert "缓存必须有上限" in (summarise(CHINESE) or "")


def test_sentences_keep_their_order_and_gaps_are_marked() -> None:
    summary = summarise(PROSE) or ""
    pieces = summary.split(" … ")
    assert len(pieces) > 1
    places = [PROSE.index(piece) for piece in pieces]
    assert places == sorted(places)


def test_no_joined_character_is_cut_in_two() -> None:
    for shift in range(8):
        summary = summarise("a" * shift + FAMILY * 100) or ""
        body = summary.removesuffix("…")[shift:]
        assert len(body) % len(FAMILY) == 0
    accents = summarise("e\u0301" * 500) or ""
    assert unicodedata.combining(accents.removesuffix("…")[-1])


def test_a_cold_row_shows_how_a_short_text_begins() -> None:
    assert beginning("a\nb") == "a b"
    assert beginning(None) is None
    assert len(beginning("z" * 900) or "") == SUMMARY_CHARS
