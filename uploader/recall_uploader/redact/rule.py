"""What a rule is: a name, and how it finds. Every search starts from a literal word, because that
is what makes it fast: most texts hold none of them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

Span = tuple[int, int]
Find = Callable[[str, str], Iterator[Span]]
Accept = Callable[[str], bool]

# A token begins where a word does, or behind an escape: \n in JSON text, %3D in a URL.
START = r"(?:(?<![A-Za-z0-9])|(?<=\\[nrtbf])|(?<=%[0-9A-Fa-f]{2})|(?<=\\u[0-9A-Fa-f]{4}))"
MARKER = re.compile(r"\[redacted:[a-z][a-z0-9-]{0,39}\](?:#[0-9a-f]{12}(?![0-9a-f]))?")


class Where(Enum):
    """What a rule's anchors are looked for in; the cheaper, the fewer texts are searched."""

    TEXT = "text"
    LOWERED = "lowered"
    WORDS = "words"
    """The words of `WORD_MIN_CHARS` or more: each secret is within one, with its anchor."""
    LOWERED_WORDS = "lowered words"


WORD_MIN_CHARS = 12


@dataclass(frozen=True, slots=True)
class Rule:
    """`find` gets a text and its lower-case form of the same length, and takes time linear in it.

    It is asked only where one of `anchors` is there; without any it is always asked. `looks` are
    RE2 expressions that match every text in which it finds something, where the anchors alone say
    too little; cased or not as `where` is.
    """

    name: str
    find: Find
    anchors: tuple[str, ...] = ()
    where: Where = Where.LOWERED
    looks: tuple[str, ...] = ()


class RuleSet:
    """Rules by what they look at first, so that an ordinary text passes most with one look."""

    def __init__(self, rules: Sequence[Rule]) -> None:
        self.rules = tuple(rules)
        numbered = tuple(enumerate(rules))
        self._by_text = [entry for entry in numbered if not _is_in_words(entry[1])]
        self._by_word = [entry for entry in numbered if _is_in_words(entry[1])]
        self._anchors = _anchors(rules, Where.WORDS)
        self._lowered_anchors = _anchors(rules, Where.LOWERED_WORDS)

    def found(self, text: str) -> Iterator[tuple[int, int, int]]:
        """Start, end and the rule's number of all finds, in no order."""
        lowered = lower(text)
        for number, rule in self._by_text:
            if _holds(text if rule.where is Where.TEXT else lowered, rule.anchors):
                yield from ((*span, number) for span in rule.find(text, lowered))
        long = [word for word in text.split() if len(word) >= WORD_MIN_CHARS]
        words = " ".join([word for word in long if not _is_plain(word)])
        lowered_words = words.lower()
        # One look for all of them: a call for each would cost more than the search.
        if not _holds(words, self._anchors) and not _holds(lowered_words, self._lowered_anchors):
            return
        for number, rule in self._by_word:
            if _holds(words if rule.where is Where.WORDS else lowered_words, rule.anchors):
                yield from ((*span, number) for span in rule.find(text, lowered))


def _anchors(rules: Sequence[Rule], where: Where) -> tuple[str, ...]:
    return tuple(anchor for rule in rules if rule.where is where for anchor in rule.anchors)


def _is_plain(word: str) -> bool:
    """Whether it is a word of a language, as most are: no token is."""
    return word.isalpha() and (word.islower() or word.istitle())


def _is_in_words(rule: Rule) -> bool:
    return rule.where in (Where.WORDS, Where.LOWERED_WORDS)


def _holds(text: str, anchors: tuple[str, ...]) -> bool:
    for anchor in anchors:  # any() with a generator takes twice as long
        if anchor in text:
            return True
    return not anchors


def in_word(name: str, anchors: tuple[str, ...], pattern: str, **how: Any) -> Rule:
    """A rule by `anchored` whose secrets are within a word."""
    looks = how.pop("looks", ())
    find = anchored(anchors, pattern, **how)
    caseless = how.get("caseless", True)
    where = Where.LOWERED_WORDS if caseless else Where.WORDS
    return Rule(name, find, anchors, where, looks)


def anchored(
    anchors: tuple[str, ...],
    pattern: str,
    *,
    accept: Accept = bool,
    caseless: bool = True,
    leads: tuple[int, ...] = (0,),
) -> Find:
    """Finds the pattern's groups `secret*` (else the whole match) that `accept` takes.

    The pattern is tried only where one of `anchors` stands, or so many characters before it as
    `leads` says. Anchors are lower case, where the search is `caseless`.
    """
    expression = re.compile(pattern, re.ASCII | (re.IGNORECASE if caseless else 0))
    named = [name for name in expression.groupindex if name.startswith("secret")]
    groups: Sequence[str | int] = named or [0]

    def find(text: str, lowered: str) -> Iterator[Span]:
        within = lowered if caseless else text
        for anchor in anchors:
            for match in _matches(expression, text, places(within, anchor), leads):
                for group in groups:
                    if match[group] and accept(match[group]):
                        yield match.span(group)

    return find


def places(text: str, word: str) -> Iterator[int]:
    """Where the word stands."""
    place = text.find(word)
    while place >= 0:
        yield place
        place = text.find(word, place + 1)


def _matches(
    expression: re.Pattern[str], text: str, found: Iterator[int], leads: tuple[int, ...]
) -> Iterator[re.Match[str]]:
    done = 0
    for place in found:
        if place < done:
            continue
        for lead in leads:
            match = expression.match(text, place - lead) if place >= lead else None
            if match:
                done = match.end()
                yield match
                break


def lower(text: str) -> str:
    """`text.lower()` with every character in its place: only U+0130 grows when lowered."""
    return text.replace("\u0130", "I").lower()


def words(text: str) -> frozenset[str]:
    """The words between white space."""
    return frozenset(text.split())
