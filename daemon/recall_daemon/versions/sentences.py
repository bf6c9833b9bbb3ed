"""Two texts that grew from one, merged sentence by sentence."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher, unified_diff

# Beyond these a comparison takes seconds: a person looks at such texts.
SENTENCES_MAX = 2_000
# Pairs of equal sentences: of two texts that repeat a few a thousand times it would take seconds,
# too, and at each later change again.
PAIRS_MAX = 100_000

_END = re.compile(r"(?<=[.!?…。！？])[\"'”’)\]]*\s+|(?<=[。！？])|\n+")  # noqa: RUF001


@dataclass(frozen=True)
class _Edit:
    """Sentences [start, end) of the base become `new`."""

    start: int
    end: int
    new: tuple[str, ...]

    def overlaps(self, other: _Edit) -> bool:
        if self.start == self.end or other.start == other.end:  # where would it be put?
            return self.start <= other.end and other.start <= self.end
        return self.start < other.end and other.start < self.end


def sentences(text: str) -> list[str]:
    """The sentences with what follows each: joined they are the text."""
    ends = [match.end() for match in _END.finditer(text)]
    starts = [0, *ends]
    parts = (text[start:end] for start, end in zip(starts, [*ends, len(text)], strict=True))
    return [part for part in parts if part]


def merged_text(base: str, ours: str, theirs: str) -> str | None:
    """What both made of the base; None where their edits overlap, or there are too many."""
    if theirs in (ours, base):
        return ours
    if ours == base:
        return theirs
    before = sentences(base)
    some = _edits(before, sentences(ours)), _edits(before, sentences(theirs))
    if some[0] is None or some[1] is None:
        return None
    edits = sorted({*some[0], *some[1]}, key=lambda edit: (edit.start, edit.end))
    if any(one.overlaps(other) for one in some[0] for other in some[1] if one != other):
        return None
    return "".join(_applied(before, edits))


def diff(ours: str, theirs: str) -> list[str]:
    """The lines of a unified diff of two texts, by sentence; of texts that would take seconds to
    compare, all between the first and the last that differ is in it."""
    one, other = sentences(ours), sentences(theirs)
    head, tail = _ends(one, other)
    old, new = one[head : len(one) - tail], other[head : len(other) - tail]
    if _is_much(old, new):
        lines = ["--- ours", "+++ theirs", f"@@ -{head + 1},{len(old)} +{head + 1},{len(new)} @@"]
        return [
            *lines,
            *(f"-{part.rstrip()}" for part in old),
            *(f"+{part.rstrip()}" for part in new),
        ]
    before, after = ([part.rstrip() for part in some] for some in (one, other))
    return list(unified_diff(before, after, "ours", "theirs", lineterm=""))


def _edits(before: Sequence[str], after: Sequence[str]) -> list[_Edit] | None:
    head, tail = _ends(before, after)
    old, new = before[head : len(before) - tail], after[head : len(after) - tail]
    if _is_much(old, new):
        return None
    matcher = SequenceMatcher(None, old, new, autojunk=False)
    return [
        _Edit(head + i1, head + i2, tuple(new[j1:j2]))
        for tag, i1, i2, j1, j2 in matcher.get_opcodes()
        if tag != "equal"
    ]


def _ends(one: Sequence[str], other: Sequence[str]) -> tuple[int, int]:
    """How many they have in common at the beginning and, of the rest, at the end."""
    head = _common(one, other)
    return head, _common(one[head:][::-1], other[head:][::-1])


def _is_much(old: Sequence[str], new: Sequence[str]) -> bool:
    return max(len(old), len(new)) > SENTENCES_MAX or _pairs(old, new) > PAIRS_MAX


def _pairs(old: Sequence[str], new: Sequence[str]) -> int:
    """How many pairs of equal sentences there are: what a comparison has to look at."""
    counted = Counter(new)
    return sum(counted[sentence] for sentence in old)


def _common(one: Sequence[str], other: Sequence[str]) -> int:
    """How many they have in common from the beginning on."""
    count = 0
    for a, b in zip(one, other, strict=False):
        if a != b:
            break
        count += 1
    return count


def _applied(before: Sequence[str], edits: Sequence[_Edit]) -> Iterator[str]:
    at = 0
    for edit in edits:
        yield from before[at : edit.start]
        yield from edit.new
        at = edit.end
    yield from before[at:]
