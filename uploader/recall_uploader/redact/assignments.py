"""The value behind a name that promises a secret: settings files, code, flags, headers, prose."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from recall_uploader.redact.names import Promise, promise
from recall_uploader.redact.placeholders import (
    is_code,
    is_made,
    is_placeholder,
    is_prose,
    is_strong,
    is_variable,
)
from recall_uploader.redact.rule import Rule, Span, places

_TYPE = (
    r"(?:[ \t]{0,4}:[ \t]{0,4}[&'\w]{0,12}[\w.]{1,20}(?:\[[\w. ]{1,20}\])?(?:[ \t]\|[ \t]none)?"
    r"(?=[ \t]{0,4}=))?"
)
_CLOSE = r"(?:\\*[\"'`]|\]|\*){0,4}"
_SEPARATOR = (
    rf"(?P<sep>[)\]]{{0,2}}[ \t]{{0,4}}(?:\|\|=?|\?\?=?|\bor\b)[ \t]{{0,4}}(?=[bfru]?\\*[\"'])"
    rf"|{_TYPE}[ \t]{{0,40}}(?::=|=>|[=!]==?|=|:)[ \t]{{0,40}}"
    r"|(?<=[\"'`])[ \t]{0,4},[ \t]{0,4}(?=\\*[\"'])|[ \t]{0,4}\([ \t]{0,4}(?=[bfru]?\\*[\"'])"
    r"|>(?=[^<\n]{1,200}</)|[ \t]{0,20}\|[ \t]{0,20}"
    r"|[ \t](?:(?:(?:of|for) [\w.\-]{1,40} )?is|was|are|set to|to)(?:[ \t]now)?:?[ \t]{1,4}"
    r"|[ \t]{1,8})"
)
# From a word that a secret's name holds to its value: the rest of the name, and what separates.
_ANCHORS = ("pass", "pwd", "pw", "secret", "token", "credential", "key", "auth", "sig")
_NAMED = re.compile(rf"[\w.\-]{{2,52}}+{_CLOSE}{_SEPARATOR}", re.ASCII)
_OPEN = re.compile(
    r"(?:\[\]byte\(|\[(?=[ \t]{0,4}\\*[\"'])|[*_]{0,2})[ \t]{0,4}"
    r"(?:[bfru]{0,2}(?P<quote>\\*[\"'`])|[|>][+\-]?[ \t]{0,4}\r?\n[ \t]+)?",
    re.IGNORECASE,
)
_QUOTE_ENDS = {quote: re.compile(rf"\\*{quote}|\n") for quote in "\"'`"}
# A delimiter ends a bare value only where another name follows, as in `password=a;user=b`.
_BARE = re.compile(
    r"(?:[^\s\"'`<>,;&\\|]|[,;&](?![ \t]{0,8}[\w.\-]{1,40}[ \t]{0,8}[:=])(?!\s|\Z)"
    r"|\\(?![\"'nrt]))++",
    re.ASCII,
)
_REST = re.compile(r"[^\s]+")
_ENV = re.compile(r"[A-Z][A-Z0-9_]*\Z")
_OWNER = re.compile(r"(?<![A-Za-z])[A-Za-z]{3,12} \Z")
_WORD_AND_NUMBER = re.compile(r"[A-Za-z]+\W?\d{1,2}", re.ASCII)
_LEFT = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-$")
_NAME_MAX_CHARS = 64
_VALUE_MAX_CHARS = 4096
_TRAILING = ".,;:!?)]}…*"


@dataclass(frozen=True, slots=True)
class Place:
    """Where a value stands, as far as it helps to judge it."""

    promise: Promise
    name: str
    sep: str
    tight: bool
    before: str
    quoted: bool
    ends_line: bool

    @property
    def env(self) -> bool:
        return self.sep == "=" and self.tight and _ENV.match(self.name.lstrip("$")) is not None

    @property
    def firm(self) -> bool:
        """A separator that only ever stands between a name and its value."""
        return self.sep[-1:] in ("=", ":", ">") or self.sep in ("", "(")


def is_secret(value: str, place: Place) -> bool:
    """Whether the value is what the name promises."""
    if is_placeholder(value) or value.lower() == place.name.lower():
        return False
    if not place.quoted and not place.env and (is_code(value) or value.startswith(("-", "{", "["))):
        return False
    if place.promise is Promise.HINT:
        return is_made(value)
    if not place.firm:
        return _spoken(value, place)
    if place.promise is Promise.PASS:
        return _password(value, place)
    return is_strong(value) or (place.env and len(value) >= 6 and not value.isdigit())


def _password(value: str, place: Place) -> bool:
    if place.quoted:
        return not is_prose(value) and len(value) >= 3
    if value.isdigit():
        return len(value) >= 4 and (place.ends_line or place.env)
    if is_strong(value, 5) and not _is_argument(value, place):
        return True
    return (place.env or place.ends_line) and len(value) >= 4 and not _is_argument(value, place)


def _is_argument(value: str, place: Place) -> bool:
    """`login(password=secret2)`: a name among a call's arguments is a variable."""
    return place.before in "(," and bool(place.before) and is_variable(value)


def _spoken(value: str, place: Place) -> bool:
    """Behind a blank, a comma, a bar or `is`: only what no word of a sentence looks like."""
    if place.before == "-" and place.promise is Promise.PASS and len(value) >= 5:
        return is_strong(value, 5) or place.ends_line or place.quoted
    if place.sep.isspace():
        if place.promise is Promise.PASS and is_strong(value, 8):
            return _WORD_AND_NUMBER.fullmatch(value) is None
        return place.before == "-" and is_strong(value)
    return is_strong(value)


def find_assigned(text: str, lowered: str) -> Iterator[Span]:
    """Linear: a value that was taken is not looked into again, and a judgement reads at most
    4,096 characters."""
    found = sorted(
        {place for word in _ANCHORS if word in lowered for place in places(lowered, word)}
    )
    done = 0
    for place in found:
        match = _NAMED.match(lowered, place) if place >= done else None
        span = _value_span(text, match) if match else None
        if span is not None:
            done = span[1]
            yield span


def _value_span(text: str, match: re.Match[str]) -> Span | None:
    start = _name_start(text, match.start())
    name = text[start : match.start("sep")].strip("\"'`]*\\.-$")
    promised = promise(name)
    sep = match["sep"].strip()
    if promised is None or text.endswith("[redacted:", 0, start):
        return None
    if sep == ":" and text.endswith("//", 0, start):
        return None  # `https://x-access-token:…@host` is an address
    opened = _OPEN.match(text, match.end())
    at = opened.end() if opened else match.end()
    quote = opened["quote"] if opened else None
    stop = _quoted_end(text, at, quote) if quote else None
    quoted = stop is not None
    before = _before(text, start)
    if stop is None:
        stop = _bare_end(text, at, line_start=before == "\n" and match["sep"] == "=")
    place = Place(
        promise=promised,
        name=name,
        sep=_sep_kind(sep, match["sep"]),
        tight=match["sep"] == sep,
        before=before,
        quoted=quoted,
        ends_line=_ends_line(text, stop),
    )
    value = text[at:stop]
    if not value or not is_secret(value[:_VALUE_MAX_CHARS], place):
        return None
    return at, stop


def _sep_kind(sep: str, raw: str) -> str:
    if not sep:
        return raw
    return "=" if sep.endswith("=") and len(sep) == 1 else sep[-1] if sep[-1] in "=:>" else sep


def _name_start(text: str, place: int) -> int:
    low = max(0, place - _NAME_MAX_CHARS)
    while place > low and text[place - 1] in _LEFT:
        place -= 1
    # `API key: …`: the name goes on behind the blank.
    if text[place - 1 : place] == " " and text[place : place + 3].lower() == "key":
        owner = _OWNER.search(text, max(0, place - 14), place)
        return owner.start() if owner else place
    return place


def _before(text: str, start: int) -> str:
    """What the name stands behind: a flag's `-`, a call's `(` or `,`, a line's start as \\n."""
    if text[start : start + 1] == "-":
        return "-"
    low = max(0, start - 40)
    left = text[low:start].rstrip(" \t")
    for word in ("export", "set", "ENV", "setx", "-e", "--env"):
        if left.endswith(word):
            left = left[: -len(word)].rstrip(" \t-")
            return left[-1:] or "\n"
    return left[-1:] or "\n"


def _quoted_end(text: str, at: int, quote: str) -> int | None:
    """The closing quote, escaped as the opening one is; None where the line ends first."""
    sign = _QUOTE_ENDS[quote[-1]]
    low = at
    limit = at + _VALUE_MAX_CHARS
    while match := sign.search(text, low, limit):
        if match[0] == "\n":
            return None
        if len(match[0]) <= len(quote) or (len(quote) == 1 and len(match[0]) % 2):
            return match.start() if len(quote) > 1 else match.end() - 1
        low = match.end()
    return None


def _bare_end(text: str, at: int, *, line_start: bool) -> int:
    match = _BARE.match(text, at)
    end = match.end() if match else at
    if line_start and text[at : at + 1] not in ("", '"', "'", "$", "<"):
        rest = _REST.match(text, at)
        if (
            rest
            and text[rest.end() - 1] not in ",;)"
            and text[rest.end() : rest.end() + 1] in ("", "\n", "\r")
        ):
            return rest.end()
    while end > at and text[end - 1] in _TRAILING and not _balanced(text, at, end):
        end -= 1
    return end


def _balanced(text: str, at: int, end: int) -> bool:
    opener = {")": "(", "]": "[", "}": "{"}.get(text[end - 1])
    return opener is not None and opener in text[max(at, end - _VALUE_MAX_CHARS) : end]


def _ends_line(text: str, stop: int) -> bool:
    rest = text[stop : stop + 12].lstrip("\"'`*.;, \t)}]\\")
    escaped = text[stop : stop + 1] == "\\" and rest.startswith(("n", "r"))
    return not rest or rest[0] in "\r\n" or escaped


ASSIGNED_RULES: tuple[Rule, ...] = (Rule("assigned", find_assigned, _ANCHORS),)
