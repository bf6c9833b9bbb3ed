"""Reads a query: what must be held as it stands, what may be an id, and the words that tell."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

QUOTES_MAX = 16
NAMED_MAX = 16
# A longer query is a passage: nobody names an id in it.
_NAMING_MAX_WORDS = 64
_ID_MAX_CHARS = 512
# As in the path of a note; more words are a question, and looking for it costs a millisecond.
_ID_MAX_WORDS = 6

# A quotation opens after a space and ends before one or before punctuation, so that neither inches
# (5" disk) nor pasted code are taken for one. One that does not end is a character like others.
_QUOTED = re.compile(r'(?:(?<=\s)|(?<=\()|^)["“](?=\S)([^"“”\n]*?\S)["”](?=[\s.,;:!?)]|$)')
_WORD = re.compile(r"\w")
_EDGES = ".,;:!?()[]{}<>\"'`\u201c\u201d\u2018\u2019"
_HUMP = re.compile(r"[a-z][A-Z]")
# No iPhone, macOS or YouTube: names of that kind are words like others.
_CAMEL = re.compile(r"[a-z]{2,}\w*?[A-Z][a-z]")
_PARTS = re.compile(r"[._/:\\#@-]+")
# A sum, a date, a time, a version, a number with its unit.
_QUANTITY = re.compile(r"\W*\d[\d.,:/-]*[^\W\d]{0,3}%?")
_CODE_MIN_DIGITS = 3
_IP_DOTS = 3

# What a question is asked with, not what it is about. No text is found by them, unless the query
# has nothing else.
_ASKING = frozenset(
    (
        "what",
        "when",
        "where",
        "which",
        "who",
        "whom",
        "whose",
        "why",
        "how",
        "did",
        "does",
        "do",
        "is",
        "are",
        "was",
        "were",
        "has",
        "have",
        "had",
    )
)


@dataclass(frozen=True, slots=True)
class Asked:
    """A query, read.

    `plain` is its text without the marks of its quotations. `content` is what words are looked for
    with: `plain` without the words that only ask. `quotes` must be held by every hit, term by term
    side by side; `beside_quotes` says whether the query has words outside of them. A hit that holds
    one of the `identifiers` as it stands, or whose id is among the `ids`, comes first.
    """

    plain: str
    content: str
    quotes: tuple[str, ...]
    identifiers: tuple[str, ...]
    ids: tuple[str, ...]
    beside_quotes: bool = False

    def without_quotes(self) -> Asked:
        """The same words, none of which must be held."""
        return replace(self, quotes=())


def read(query: str) -> Asked:
    """Any text is a query; nothing in it is an error."""
    found = _QUOTED.findall(query)[:QUOTES_MAX]
    plain = _QUOTED.sub(r"\1", query, count=QUOTES_MAX).strip() or query
    words = plain.split()
    named = words if len(words) <= _NAMING_MAX_WORDS else []
    bare = [word.strip(_EDGES) for word in named]
    content = " ".join(word for word in words if word.strip(_EDGES).casefold() not in _ASKING)
    return Asked(
        plain=plain,
        content=content or plain,
        quotes=tuple(dict.fromkeys(found)),
        identifiers=_first(word for word in bare if _is_identifier(word, alone=len(bare) == 1)),
        ids=_first(_ids(plain.strip(), named, bare)),
        beside_quotes=bool(_WORD.search(_QUOTED.sub(" ", query, count=QUOTES_MAX))),
    )


def _first(words: object) -> tuple[str, ...]:
    return tuple(dict.fromkeys(words))[:NAMED_MAX]  # type: ignore[call-overload]


def _ids(plain: str, words: list[str], bare: list[str]) -> list[str]:
    """The whole query if it is short, and those words that are more than a word or a number."""
    whole = [plain] if len(plain) <= _ID_MAX_CHARS and len(plain.split()) <= _ID_MAX_WORDS else []
    likely = [word for pair in zip(bare, words, strict=True) for word in pair if _is_like_id(word)]
    return [*whole, *bare[: len(bare) == 1], *likely]


def _is_like_id(word: str) -> bool:
    return (
        len(word) <= _ID_MAX_CHARS
        and any(char.isdigit() for char in word)
        and any(char.isalpha() or char in "-_:./#" for char in word.rstrip(_EDGES))
    )


def _is_identifier(word: str, *, alone: bool) -> bool:
    """A path, a dotted or under_scored name, a code; no and/or, no e.g.

    A word that is the whole query may be camelCase of any kind or have any digits. Among others
    only those count that a sentence has no other use for: pollTimeout, E1234, PROJ-123, but neither
    YouTube nor 18th, 5K or COVID-19. A row is put before all others for it.
    """
    digits = sum(char.isdigit() for char in word)
    letters = any(char.isalpha() for char in word)
    if _HUMP.search(word) if alone else _CAMEL.match(word):
        return True
    if _QUANTITY.fullmatch(word) and not alone:
        return word.count(".") == _IP_DOTS and not letters
    if letters and digits >= (1 if alone else _CODE_MIN_DIGITS):
        return True
    parts = [part for part in _PARTS.split(word) if part]
    if len(parts) < 2 or max(map(len, parts)) < 2:
        return False
    return any(char in word for char in "._:\\#@") or word.count("/") > 1 or word.startswith("/")
