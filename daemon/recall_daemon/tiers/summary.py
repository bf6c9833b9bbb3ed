"""A few of a text's own sentences, chosen by how much they say of what the whole text says."""

from __future__ import annotations

import math
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import chain, pairwise

SUMMARY_CHARS = 200
# What lies further on in a long text is not looked at: its beginning says what it is about.
LOOKED_AT_CHARS = 16_384

# Latin stops with a space after them, East Asian ones without, and line ends.
_END = re.compile("(?<=[.!?\u2026])\\s|(?<=[\u3002\uff01\uff1f\uff61])|[\r\n\v\f\x85\u2028\u2029]")
_TERM = re.compile(r"\w+")
# Scripts that are written without spaces: their terms are pairs of characters.
_UNSPACED = re.compile(r"[\u0e00-\u0eff\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af\uf900-\ufaff]+")
_GAP, _CUT = " … ", "…"
_JOINERS = {"\u200d", "\ufe0e", "\ufe0f"}


def summarise(text: str | None) -> str | None:
    """At most `SUMMARY_CHARS` characters in one line; None for a text that is no longer than that.

    Those sentences (or lines) that lie nearest to the centre of the text's terms, in their order;
    left-out ones leave an ellipsis. Deterministic.
    """
    if text is None or len(text) <= SUMMARY_CHARS:
        return None
    sentences = _sentences(text[:LOOKED_AT_CHARS])
    chosen = _choose(sentences, _scores(sentences))
    return _joined(sentences, chosen) if chosen else _cut(_one_line(text[:LOOKED_AT_CHARS]))


def central(texts: Sequence[str], max_chars: int) -> str:
    """The sentences that lie nearest to the centre of what all the texts say, in their order, in
    one line of at most `max_chars` characters; what several texts say is there once.

    Deterministic.
    """
    looked_at = (_sentences(text[:LOOKED_AT_CHARS]) for text in texts)
    sentences = list(dict.fromkeys(chain.from_iterable(looked_at)))
    chosen = _choose(sentences, _scores(sentences), max_chars)
    return _joined(sentences, chosen, max_chars) if chosen else _cut(" ".join(sentences), max_chars)


def beginning(text: str | None) -> str | None:
    """The beginning of a text in one line: what a text that needs no summary shows."""
    return None if text is None else _cut(_one_line(text[:LOOKED_AT_CHARS]))


def _sentences(text: str) -> list[str]:
    """Without repetitions: a log says one thing a thousand times."""
    pieces = (_one_line(piece) for piece in _END.split(text))
    return list(dict.fromkeys(piece for piece in pieces if piece))


def _one_line(text: str) -> str:
    return " ".join(text.replace("\0", " ").split())


def _terms(sentence: str, *, unspaced: bool) -> set[str]:
    found = _TERM.findall(sentence.lower())
    if not unspaced:
        return set(found)
    return {part for term in found for part in (_pairs(term) if _UNSPACED.search(term) else [term])}


def _pairs(term: str) -> Iterable[str]:
    return (term[at : at + 2] for at in range(max(len(term) - 1, 1)))


def _scores(sentences: Sequence[str]) -> list[float]:
    """Cosine of each sentence's terms with those of the whole text; rarer terms weigh more."""
    unspaced = any(_UNSPACED.search(sentence) for sentence in sentences)
    said = [_terms(sentence, unspaced=unspaced) for sentence in sentences]
    centre = Counter(chain.from_iterable(said))
    squared = {n: math.log1p(len(sentences) / n) ** 2 for n in set(centre.values())}
    own = {term: squared[count] for term, count in centre.items()}
    shared = {term: squared[count] * count for term, count in centre.items()}
    return [
        sum(map(shared.__getitem__, terms)) / math.sqrt(sum(map(own.__getitem__, terms)))
        if terms
        else 0.0
        for terms in said
    ]


def _choose(
    sentences: Sequence[str], scores: Sequence[float], max_chars: int = SUMMARY_CHARS
) -> list[int]:
    """The best that fit together, in their order; the very best even where it must be cut."""
    chosen: list[int] = []
    left = max_chars
    for number in sorted(range(len(sentences)), key=lambda n: (-scores[n], n)):
        size = len(sentences[number]) + (len(_GAP) if chosen else 0)
        if scores[number] > 0 and (size <= left or not chosen):
            chosen.append(number)
            left -= size
    return sorted(chosen)


def _joined(sentences: Sequence[str], chosen: Sequence[int], max_chars: int = SUMMARY_CHARS) -> str:
    parts = [sentences[chosen[0]]]
    for before, number in pairwise(chosen):
        parts += [" " if number == before + 1 else _GAP, sentences[number]]
    return _cut("".join(parts), max_chars)


def _cut(line: str, max_chars: int = SUMMARY_CHARS) -> str:
    """At most so many, at a space where one is near, and inside no joined character."""
    if len(line) <= max_chars:
        return line
    end = max_chars - len(_CUT)
    space = line.rfind(" ", end - 40, end + 1)
    end = space if space > 0 else end
    while end > 1 and (_continues(line[end]) or line[end - 1] == "\u200d"):
        end -= 1
    return line[:end].rstrip() + _CUT


def _continues(character: str) -> bool:
    """True for what is drawn onto the character before it."""
    return (
        character in _JOINERS
        or unicodedata.combining(character) > 0
        or "\U0001f3fb" <= character <= "\U0001f3ff"
    )
