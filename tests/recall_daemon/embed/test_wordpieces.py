"""Windows in the model's own tokens."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recall_daemon.embed.locate import MAX_TOKENS, ModelFiles
from recall_daemon.embed.passages import MAX_WINDOWS, WINDOW_CHARS
from recall_daemon.embed.wordpieces import WordPieces

PIECES = [
    *("word ", "unbelievable", "漢字", "é", "e\u0301", "\u0301", "  ", "\0", "! ", "\u200b"),
    *(
        "\ud800",
        "한글",
        "İ",
        "ﷺ",
        "👩\u200d👩\u200d👧",
        "max_poll_records",
        "\n",
        "y" * 120,
        "z" * 99,
    ),
]


@pytest.fixture(scope="session")
def pieces(files: ModelFiles) -> WordPieces:
    return WordPieces(files.tokenizer)


def passages_readable(passages: list[str]) -> list[str]:
    return [passage.encode("utf-8", "replace").decode() for passage in passages]


@given(st.lists(st.sampled_from(PIECES), max_size=900))
@settings(max_examples=60, deadline=None)
def test_any_text_is_covered_by_windows_that_fit(pieces: WordPieces, chosen: list[str]) -> None:
    text = "".join(chosen)
    (spans,) = pieces.windows([text])
    passages = passages_readable([text[span.start : span.end] for span in spans])
    assert all(len(row) <= MAX_TOKENS for row in pieces._tokenizer.encode_batch(passages))
    if len(spans) == 1:
        assert spans == [(0, len(text))]
        return
    covered = np.zeros(len(text), dtype=np.bool_)
    for span in spans:
        covered[span.start : span.end] = True
    left = "".join(text[at] for at in np.flatnonzero(~covered))
    assert not pieces._tokenizer.encode(passages_readable([left])[0], add_special_tokens=False).ids


def test_pieces_of_a_text_meet_without_a_seam(
    pieces: WordPieces, long_texts: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = pieces.windows(list(long_texts.values())[:6])
    monkeypatch.setattr("recall_daemon.embed.wordpieces.PIECE_CHARS", 97)
    assert pieces.windows(list(long_texts.values())[:6]) == whole


@pytest.mark.parametrize(
    "text",
    ["", "\0" * (8 << 20), " " * (8 << 20), "w" * (8 << 20), "数据库在夜间" * 700_000],
    ids=["empty", "nul", "blank", "one word", "chinese"],
)
def test_any_text_will_do(pieces: WordPieces, text: str) -> None:
    (spans,) = pieces.windows([text])
    assert 1 <= len(spans) <= MAX_WINDOWS
    assert all(span.end - span.start <= WINDOW_CHARS for span in spans)


def test_a_long_text_is_read_only_as_far_as_its_windows_reach(
    pieces: WordPieces, long_texts: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[int] = []
    real = WordPieces._piece

    def counted(self: WordPieces, piece: str) -> object:
        read.append(len(piece))
        return real(self, piece)

    monkeypatch.setattr(WordPieces, "_piece", counted)
    (spans,) = pieces.windows(["数" * 4_000_000])
    assert len(spans) == MAX_WINDOWS
    assert sum(read) < 300_000
    assert max(read) <= 16_384


def test_short_and_long_texts_keep_their_order(pieces: WordPieces) -> None:
    prose = "The write-ahead log was moved to another volume.\n"
    texts = ["short", prose * 90, "", prose, "x" * 300]
    assert [len(spans) > 1 for spans in pieces.windows(texts)] == [False, True, False, False, False]
