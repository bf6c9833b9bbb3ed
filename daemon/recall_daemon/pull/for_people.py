"""Search results that an instance wrote for people, taken apart again as far as that goes.

Session-Buddy answers `quick_search` with one result under signs, or with its best one below a
heading, and lists further ones by number. It cuts texts short: a memory from such an answer says
`truncated` where that shows.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

Json = dict[str, Any]

# Where Session-Buddy cuts: a text with "..." of so many characters was longer.
_CUT_CHARS = frozenset({147, 150, 200})
_DOTS = "..."
_UNKNOWN = frozenset({"", "unknown", "none", "n/a"})

_NOTHING = re.compile(r"^\W*no (?:more )?(?:results|conversations|reflections|memories)\b", re.I)
_SIGNED = re.compile(r"^(?P<sign>[📝📁⭐📅🏷💡📊🔍])\ufe0f?[ \t]*", re.M)
_BEST = re.compile(r"^\*\*Top Result\*\* \(score: [^)\n]*\):\n", re.M)
_NUMBERED = re.compile(r"^\*\*\d+\.\*\* (?:\((?P<time>[^)\n]{1,40})\) )?", re.M)
_ADVICE = re.compile(r"\n+💡 [^\n]*\s*\Z")
_COUNT = re.compile(r"^🔍 \*\*(?P<count>\d{1,9}) results\*\*", re.M)
_TOP_ONE = "showing top 1"


def memories_for_people(text: str) -> list[Json] | None:
    """The memories of a text, none for one that says there are none; None: it is not understood."""
    found = list(_signed(text)) or list(_best(text)) or list(_numbered(text))
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
    for sign, value in _sections(text):
        if sign == "📝":
            if memory:
                yield memory
            memory = _memory(value)
        elif memory and sign == "📁":
            memory |= _told("project", value, "Project:")
        elif memory and sign == "📅":
            memory |= _told("created_at", value, "Date:")
    if memory:
        yield memory


def _sections(text: str) -> Iterator[tuple[str, str]]:
    starts = list(_SIGNED.finditer(text))
    for here, after in zip(starts, [*starts[1:], None], strict=True):
        end = after.start() if after is not None else len(text)
        yield here["sign"], text[here.end() : end].strip()


def _told(name: str, value: str, label: str) -> Json:
    said = value.removeprefix(label).strip()
    return {} if said.lower() in _UNKNOWN else {name: said}


def _best(text: str) -> Iterator[Json]:
    start = _BEST.search(text)
    if start is not None:
        yield _memory(_undotted(_ADVICE.sub("", text[start.end() :])))


def _numbered(text: str) -> Iterator[Json]:
    starts = list(_NUMBERED.finditer(text))
    body = _ADVICE.sub("", text)
    for here, after in zip(starts, [*starts[1:], None], strict=True):
        end = after.start() if after is not None else len(body)
        memory = _memory(_undotted(body[here.end() : end].strip()))
        if memory["text"]:
            yield memory | (_told("created_at", here["time"], "") if here["time"] else {})


def _undotted(text: str) -> str:
    """Without the dots that are put after every text, those of a cut one excepted."""
    cut = len(text) - len(_DOTS) in _CUT_CHARS
    return text if cut else text.removesuffix(_DOTS)


def _memory(text: str) -> Json:
    bare = text.removesuffix(_DOTS)
    if bare != text and len(bare) in _CUT_CHARS:
        return {"text": bare, "truncated": True}
    return {"text": text}
