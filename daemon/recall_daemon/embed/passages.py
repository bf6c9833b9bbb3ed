"""Where a long text is cut into passages: overlapping windows of whole words, a vector for each.

A window holds at most 256 tokens (254 and the two that mark a text's ends) and ends, where one is
near, with a sentence or a line; the next begins about a fifth of a window before that end. So each
sentence lies whole in some window, and the end of a transcript is found as well as its beginning.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

WINDOW_TOKENS = 254
OVERLAP_TOKENS = 51
# The latest end of a sentence in this last part of a window is where it ends.
END_TOKENS = 64
# All of a window's characters are read, so that its vector is that of just those characters.
WINDOW_CHARS = 65_536
# Of a longer text the rest is found by its words: about 850,000 characters of English are read.
MAX_WINDOWS = 1024
MAX_TEXT_CHARS = 4 << 20
# A text is read in pieces of this, so that the memory of reading does not grow with the text.
PIECE_CHARS = 16_384

_NOTHING = re.compile(r"[\s\0]*")
_SENTENCE_END = re.compile(r"[.!?…][\"')\]]?\s|[。！？]|\n")  # noqa: RUF001
_MAX_MARKS = 16


class Span(NamedTuple):
    """Characters [start, end) of a text: code points, not bytes."""

    start: int
    end: int


@dataclass(frozen=True)
class Words:
    """Words in the order of the text: where each starts and ends, and how many tokens it has."""

    starts: NDArray[np.int64]
    ends: NDArray[np.int64]
    tokens: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.starts)


def skip_nothing(text: str, at: int) -> int:
    """The first place from `at` on that is neither white space nor NUL."""
    found = _NOTHING.match(text, at)
    return found.end() if found else at


def cut(text: str, words: Words) -> list[Span]:
    """At least one window, at most `MAX_WINDOWS`; a text that fits into one is one, from 0 to its
    end. `words` are the text's, of one that is longer than can be covered the first ones.

    Every window but the last holds more than `WINDOW_TOKENS - END_TOKENS - 100` tokens, unless its
    characters are too many. Takes time in proportion to the words.
    """
    upto = np.concatenate([[0], np.cumsum(words.tokens)])
    if upto[-1] <= WINDOW_TOKENS and len(text) <= WINDOW_CHARS:
        return [Span(0, len(text))]
    spans: list[Span] = []
    first = 0
    while first < len(words) and len(spans) < MAX_WINDOWS:
        fits = _fits(words, upto, first)
        last = fits if fits == len(words) else _sentence_end(text, words, upto, first, fits)
        spans.append(Span(int(words.starts[first]), _end(text, int(words.ends[last - 1]))))
        if last == len(words):
            break
        first = _next_start(text, words, upto, first, last)
    return spans or [Span(0, min(len(text), WINDOW_CHARS))]


def _fits(words: Words, upto: NDArray[np.int64], first: int) -> int:
    """The word behind the last one that fits into a window from `first` on; at least one does."""
    by_tokens = int(np.searchsorted(upto, upto[first] + WINDOW_TOKENS, "right")) - 1
    by_chars = int(np.searchsorted(words.ends, words.starts[first] + WINDOW_CHARS, "right"))
    return max(first + 1, min(by_tokens, by_chars))


def _sentence_end(text: str, words: Words, upto: NDArray[np.int64], first: int, fits: int) -> int:
    """The word behind the last sentence end near the window's end; `fits` where there is none."""
    earliest = int(np.searchsorted(upto, upto[fits] - END_TOKENS))
    for word in range(fits, max(earliest, first + 1), -1):
        if _ends_sentence(text, words, word):
            return word
    return fits


def _next_start(text: str, words: Words, upto: NDArray[np.int64], first: int, last: int) -> int:
    """The first sentence start in the overlap, else where the overlap begins; past `first`."""
    by_tokens = int(np.searchsorted(upto, upto[last] - OVERLAP_TOKENS))
    overlap_start = words.ends[last - 1] - WINDOW_CHARS // 5
    by_chars = int(np.searchsorted(words.starts, overlap_start))
    earliest = max(first + 1, by_tokens, by_chars)
    for word in range(earliest, int(np.searchsorted(upto, upto[last] - OVERLAP_TOKENS // 2))):
        if _ends_sentence(text, words, word):
            return word
    return min(earliest, last)


def _ends_sentence(text: str, words: Words, word: int) -> bool:
    """Whether a sentence or a line ends between this word and the one before it."""
    start, end = int(words.starts[word - 1]), int(words.starts[word])
    return bool(_SENTENCE_END.search(text, max(start, end - 16), end))


def _end(text: str, end: int) -> int:
    """`end`, moved behind the accents of the last letter: no token says them."""
    for place in range(end, min(end + _MAX_MARKS, len(text))):
        if not unicodedata.combining(text[place]):
            return place
    return min(end + _MAX_MARKS, len(text))
