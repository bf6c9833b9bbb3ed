"""The windows of texts in the model's own tokens."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from recall_daemon.embed.errors import ModelDamaged
from recall_daemon.embed.passages import (
    MAX_TEXT_CHARS,
    MAX_WINDOWS,
    PIECE_CHARS,
    WINDOW_TOKENS,
    Span,
    Words,
    cut,
    skip_nothing,
)

# Nearly every text up to this is one window, which is found without asking where each token lies.
_SHORT_CHARS = 1_536
_SHORT_TEXTS = 256
# No more words than these are looked at: all that `MAX_WINDOWS` windows can hold.
_MAX_TOKENS = MAX_WINDOWS * WINDOW_TOKENS


class WordPieces:
    """Cuts texts at the model's own words. Safe to call from several threads.

    Memory: the tokens of one piece of 16,384 characters, and 24 bytes for each of at most 260,096
    words. Time is in proportion to the text, of which at most 4,194,304 characters are read.
    """

    def __init__(self, path: Path) -> None:
        from tokenizers import Tokenizer

        try:
            self._tokenizer = Tokenizer.from_file(str(path))
        except Exception as error:  # the library raises plain Exception
            raise ModelDamaged(f"{path} is not a tokenizer: {error}") from error
        self._tokenizer.no_padding()
        self._tokenizer.no_truncation()

    def windows(self, texts: Sequence[str]) -> list[list[Span]]:
        """Each text's windows, in the order of the text; at least one. Raises for no text."""
        whole = self._fit_whole(texts)
        return [
            [Span(0, len(text))] if fits else cut(text, self._words(text))
            for text, fits in zip(texts, whole, strict=True)
        ]

    def _fit_whole(self, texts: Sequence[str]) -> list[bool]:
        """Which texts are surely one window: no ASCII character is more than one token."""
        fits = [len(text) <= WINDOW_TOKENS and text.isascii() for text in texts]
        asked = [
            row for row, text in enumerate(texts) if not fits[row] and len(text) <= _SHORT_CHARS
        ]
        for start in range(0, len(asked), _SHORT_TEXTS):
            rows = asked[start : start + _SHORT_TEXTS]
            readable = [_readable(texts[row]) for row in rows]
            encodings = self._tokenizer.encode_batch_fast(readable, add_special_tokens=False)
            for row, encoding in zip(rows, encodings, strict=True):
                fits[row] = len(encoding) <= WINDOW_TOKENS
        return fits

    def _words(self, text: str) -> Words:
        parts = list(self._pieces(text))
        starts, ends, tokens = (np.concatenate(column) for column in zip(*parts, strict=True))
        return Words(starts, ends, tokens)

    def _pieces(self, text: str) -> Iterator[tuple[Any, Any, Any]]:
        """The words of one piece after the other: starts, ends and numbers of tokens."""
        yield (np.empty(0, np.int64),) * 3
        at, seen, end = 0, 0, min(len(text), MAX_TEXT_CHARS)
        while seen < _MAX_TOKENS and (at := skip_nothing(text, at)) < end:
            stop = min(at + PIECE_CHARS, end)
            words, tokens = self._piece(text[at:stop])
            # The piece's end may have cut its last word: that one is read again with the next. One
            # that fills the piece is a single token anyway, so it may be cut.
            if stop < end and len(words) > 1:
                words, tokens = words[:-1], tokens[:-1]
                stop = at + int(words[-1, 1])
            if len(words):
                yield words[:, 0] + at, words[:, 1] + at, tokens
            at, seen = stop, seen + int(tokens.sum())

    def _piece(self, piece: str) -> tuple[Any, Any]:
        """The words' [start, end) in the piece, shape (words, 2), and their numbers of tokens."""
        encoding = self._tokenizer.encode(_readable(piece), add_special_tokens=False)
        if not len(encoding):
            return np.empty((0, 2), np.int64), np.empty(0, np.int64)
        offsets = np.asarray(encoding.offsets, dtype=np.int64)
        word_of = np.asarray(encoding.word_ids, dtype=np.int64)
        first = np.flatnonzero(np.diff(word_of, prepend=-1))
        last = np.append(first[1:], len(word_of)) - 1
        words = np.stack([offsets[first, 0], offsets[last, 1]], axis=1)
        return words, last - first + 1


def _readable(text: str) -> str:
    # As the embedders read it: the tokenizer takes UTF-8, and a lone surrogate has none.
    return text if text.isascii() else text.encode("utf-8", "replace").decode("utf-8")
