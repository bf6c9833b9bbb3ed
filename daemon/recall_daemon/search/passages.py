"""The part of a long text that answers."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from recall_daemon.search.verbatim import normal

WINDOW_CHARS = 600
_MATCHES_MAX = 2_000
# Where the beginning of a phrase is shows where it is; a pattern of thousands of words would take
# as many steps at every place of the text.
_PHRASE_MAX_WORDS = 32
_WORD = re.compile(r"\w+")


@dataclass(frozen=True, slots=True)
class Passage:
    """Characters [start, end) of the text."""

    start: int
    end: int
    text: str


def best_passage(
    text: str,
    *,
    sought: Sequence[str],
    phrases: Sequence[str],
    near: Callable[[], tuple[int, int | None] | None],
) -> Passage:
    """A text of at most `WINDOW_CHARS` is its own passage.

    Of a longer one: the surroundings of the first of the `phrases` that it holds, else the part
    that is nearest in meaning (`near`, asked only then), else where most of the `sought` words are.
    """
    if len(text) <= WINDOW_CHARS:
        return Passage(0, len(text), text)
    for phrase in phrases:
        if (found := _find(text, phrase)) is not None:
            return _around(text, *found)
    span = near()
    if span is not None and span[1] is not None and span[0] < span[1] <= len(text):
        return Passage(span[0], span[1], text[span[0] : span[1]])
    return _around(text, *_densest(text, sought))


def _find(text: str, phrase: str) -> tuple[int, int] | None:
    """Where the words of a phrase follow each other, whatever lies between two of them."""
    words = _WORD.findall(normal(phrase))[:_PHRASE_MAX_WORDS]
    if not words or _lacks(text, words):
        return None
    found = re.search(r"\W+".join(map(re.escape, words)), text, re.IGNORECASE)
    return found.span() if found else None


def _lacks(text: str, words: Sequence[str]) -> bool:
    """Whether one of the words is surely not in the text: sooner known than a pattern is made.

    Beyond ASCII the letters that a pattern takes for the same are more than `lower` knows.
    """
    if not text.isascii():
        return False
    lowered = text.lower()
    return any(word.isascii() and word not in lowered for word in words)


def _densest(text: str, sought: Sequence[str]) -> tuple[int, int]:
    """The window in which the most different sought words start."""
    stems = {word.casefold()[:_STEM_CHARS] for word in sought}
    places = [
        (match.start(), match.group().casefold()[:_STEM_CHARS])
        for match in _WORD.finditer(text)
        if match.group().casefold()[:_STEM_CHARS] in stems
    ][:_MATCHES_MAX]
    best, at, first = 0, 0, 0
    counts: dict[str, int] = {}
    for start, word in places:
        counts[word] = counts.get(word, 0) + 1
        while start - places[first][0] > WINDOW_CHARS // 2:
            gone = places[first][1]
            counts[gone] -= 1
            if not counts[gone]:
                del counts[gone]
            first += 1
        if len(counts) > best:
            best, at = len(counts), places[first][0]
    return at, min(at + WINDOW_CHARS // 2, len(text))


# Enough to find a word in another form; what is shown is no proof.
_STEM_CHARS = 5


def _around(text: str, start: int, end: int) -> Passage:
    """`WINDOW_CHARS` with the match in the middle, cut between words where there is room for it."""
    spare = max(WINDOW_CHARS - (end - start), 0) // 2
    first, last = max(start - spare, 0), min(end + spare, len(text))
    if first and (space := text.find(" ", first, start)) >= 0:
        first = space + 1
    if last < len(text) and (space := text.rfind(" ", end, last)) >= 0:
        last = space
    return Passage(first, last, text[first:last])
