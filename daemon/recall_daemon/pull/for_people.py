"""Search results that an instance wrote for people, taken apart again as far as that goes.

Session-Buddy answers `quick_search` with one result under signs, or with its best one below a
heading, and lists further ones by number. It cuts texts short: a memory from such an answer says
`truncated` where that shows.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import zip_longest
from typing import Any

Json = dict[str, Any]

# Where Session-Buddy cuts: a text with "..." of so many characters was longer.
_CUT_CHARS = frozenset({147, 150, 200})
_DOTS = "..."
_FIELDS = {"📁 Project:": "project", "📅 Date:": "created_at"}
_UNKNOWN = frozenset({"", "unknown", "none", "n/a"})

_NOTHING = re.compile(r"^\W*no (?:more )?(?:results|conversations|reflections|memories)\b", re.I)
_LABEL = re.compile(r"^(?P<label>📝|📁 Project:|⭐ Relevance:|📅 Date:)[ \t]*", re.M)
_BEST = re.compile(r"^\*\*Top Result\*\* \(score: [^)\n]*\):\n", re.M)
_NUMBERED = re.compile(r"^\*\*\d+\.\*\* (?:\((?P<time>[^)\n]{1,40})\) )?", re.M)
_ADVICE = re.compile(r"\n+💡 [^\n]*\s*\Z")
_COUNT = re.compile(r"^🔍 \*\*(?P<count>\d{1,9}) results\*\*", re.M)
_TOP_ONE = "showing top 1"


def memories_for_people(text: str) -> list[Json] | None:
    """The memories of a text, none for one that says there are none; None: it is not understood."""
    ways = (_signed, _best, _numbered)
    found = next(filter(None, ([m for m in way(text) if m["text"]] for way in ways)), [])
    if found:
        return found
    said_none = any(_NOTHING.match(line) for line in text.strip().splitlines()[:2])
    return [] if said_none else None


def left_out(text: str, given: int) -> str | None:
    """What the text says of results that it does not hold, in a sentence."""
    count = _COUNT.search(text)
    if count is not None and int(count["count"]) > given:
        return f"it found {count['count']} and gave {given}"
    return "it gives its best result alone" if _TOP_ONE in text[:500] else None


def _signed(text: str) -> Iterator[Json]:
    """`📝 text`, then lines of `📁 Project: …` and `📅 Date: …` that belong to it."""
    memory: Json = {}
    for label, value in _parts(_LABEL, text):
        if label["label"] == "📝":
            if memory:
                yield memory
            memory = _memory(value)
        elif memory and label["label"] in _FIELDS:
            memory |= _told(_FIELDS[label["label"]], value)
    if memory:
        yield memory


def _parts(start: re.Pattern[str], text: str) -> Iterator[tuple[re.Match[str], str]]:
    """Each start with what follows it, up to the next one."""
    starts = list(start.finditer(text))
    for here, after in zip_longest(starts, starts[1:]):
        yield here, text[here.end() : after.start() if after else len(text)].strip()


def _told(name: str, value: str | None) -> Json:
    return {} if (value or "").lower() in _UNKNOWN else {name: value}


def _best(text: str) -> Iterator[Json]:
    start = _BEST.search(text)
    if start is not None:
        yield _memory(_undotted(_ADVICE.sub("", text[start.end() :])))


def _numbered(text: str) -> Iterator[Json]:
    for number, value in _parts(_NUMBERED, _ADVICE.sub("", text)):
        yield _memory(_undotted(value)) | _told("created_at", number["time"])


def _undotted(text: str) -> str:
    """Without the dots that are put after every text, those of a cut one excepted."""
    cut = len(text) - len(_DOTS) in _CUT_CHARS
    return text if cut else text.removesuffix(_DOTS)


def _memory(text: str) -> Json:
    bare = text.removesuffix(_DOTS)
    if bare != text and len(bare) in _CUT_CHARS:
        return {"text": bare, "truncated": True}
    return {"text": text}
