"""Keys that span lines: PEM and PGP private keys, PuTTY's, whole or cut off at either end."""

from __future__ import annotations

import re
from collections.abc import Iterator

from recall_uploader.redact.rule import Rule, Span, Where

_BEGIN = re.compile(r"-{4,5} ?BEGIN (?:[A-Z0-9]{1,16} ){0,4}PRIVATE KEY(?: BLOCK)? ?-{4,5}")
_END = re.compile(r"-{4,5} ?END (?:[A-Z0-9]{1,16} ){0,4}PRIVATE KEY(?: BLOCK)? ?-{4,5}")
_WHOLE_MAX_CHARS = 64 << 10
_TAIL_MAX_CHARS = 16 << 10
# What may stand between the lines of a key: white space, escaped line ends, quotes of a string in
# code, the `> ` of a quoted mail, the `+` of a diff, the number and `|` of a listing.
_GAP = r"(?:[\s>|*#\"'`,;()]|\\+[nrt\"']?|[+\-](?=[A-Za-z0-9+/]{16}))"
_NUMBER = r"(?:\d{1,4}[ \t]{0,4}[|:]?[ \t]{0,4})?"
_HEADER = r"(?:Proc-Type|DEK-Info|Version|Comment|Hash|Charset):[^\n\\]{0,200}"
_LINE = r"[A-Za-z0-9+/]{16,}+={0,3}"
# The last line of a key may be short: padded, a checksum, or cut off with the text.
_LAST = r"[A-Za-z0-9+/]{2,15}(?:={1,2}|(?=[\s.\"']{0,8}\Z))|=[A-Za-z0-9+/]{4}(?![A-Za-z0-9+/])"
_BODY = re.compile(rf"(?:{_GAP}{{0,24}}+{_NUMBER}(?:{_HEADER}|{_LINE}|{_LAST}))*+")
# The same, read backwards from an END: the short last line, then full ones.
_GAP_BACK = r"(?:[\s>|*#\"'`,;()+\\]|[nr]\\+)"
_BODY_BACK = re.compile(
    rf"{_GAP_BACK}*+(?:={{0,3}}[A-Za-z0-9+/]{{2,}}+)?(?:{_GAP_BACK}++={{0,3}}[A-Za-z0-9+/]{{16,}}+)*+"
)
_MATERIAL = re.compile(r"[A-Za-z0-9+/]{16}")
_KEY_LINE = re.compile(
    r"(?:\n|\\n)[ \t>|+]{0,8}[A-Za-z0-9+/=]{8,}+[ \t\r]{0,8}(?:\n|\\)|[A-Za-z0-9+/]{16}"
)
_PUTTY = re.compile(
    r"PuTTY-User-Key-File-\d: [^\n]{1,60}(?:\n ?(?:(?:Encryption|Comment|Public-Lines|"
    r"Private-Lines|Private-MAC|Key-Derivation|Argon2-[A-Za-z]+): ?[^\n]{0,200}"
    r"|[A-Za-z0-9+/=]{16,}[\r\"']{0,2}(?=\n|\Z)|[A-Za-z0-9+/]{2,15}={1,2}[\r\"']{0,2}(?=\n|\Z)"
    r"|[A-Za-z0-9+/]{4,15}\r?(?=\n ?Private-)))+"
)


class _Marks:
    """The next match at or behind a place; asked in rising order, so the text is read once."""

    def __init__(self, pattern: re.Pattern[str], text: str) -> None:
        self._matches = pattern.finditer(text)
        self._next = next(self._matches, None)

    def after(self, place: int) -> re.Match[str] | None:
        while self._next is not None and self._next.start() < place:
            self._next = next(self._matches, None)
        return self._next


def find_private_keys(text: str, lowered: str) -> Iterator[Span]:
    """Whole blocks, BEGIN line to END line; else what looks like a key's lines behind a BEGIN or
    before an END. A BEGIN line with no key behind it is a mention and stays."""
    done = 0
    begins, ends = _Marks(_BEGIN, text), _Marks(_END, text)
    while True:
        begin, end = begins.after(done), ends.after(done)
        if end is not None and (begin is None or end.start() < begin.start()):
            span = _tail(text, done, end)
        elif begin is not None:
            span = _block(text, begin, _before_next(end, begins, begin))
        else:
            return
        if span is not None:
            yield span
        done = (span or _mention(begin, end))[1]


def _before_next(
    end: re.Match[str] | None, begins: _Marks, begin: re.Match[str]
) -> re.Match[str] | None:
    """The END that belongs to `begin`: none where another BEGIN comes first."""
    another = begins.after(begin.end())
    if end is None or end.start() - begin.end() > _WHOLE_MAX_CHARS:
        return None
    return end if another is None or end.start() < another.start() else None


def _mention(begin: re.Match[str] | None, end: re.Match[str] | None) -> Span:
    """The nearer of the two: it stands alone."""
    return min(mark.span() for mark in (begin, end) if mark is not None)


def _block(text: str, begin: re.Match[str], end: re.Match[str] | None) -> Span | None:
    if end is not None and _KEY_LINE.search(text, begin.end(), end.start()):
        return begin.start(), end.end()
    body = _BODY.match(text, begin.end())
    if body is None or not _MATERIAL.search(text, *body.span()):
        return None
    return begin.start(), body.end()


def _tail(text: str, done: int, end: re.Match[str]) -> Span | None:
    """The lines before an END whose BEGIN is not in this text."""
    window = text[max(done, end.start() - _TAIL_MAX_CHARS) : end.start()]
    body = _BODY_BACK.match(window[::-1])
    if body is None or not _MATERIAL.search(body[0]):
        return None
    return end.start() - body.end(), end.end()


def _find_putty(text: str, lowered: str) -> Iterator[Span]:
    for match in _PUTTY.finditer(text.replace("\\n", "\n ")):
        yield match.span()


BLOCK_RULES: tuple[Rule, ...] = (
    Rule("private-key", find_private_keys, ("PRIVATE KEY",), Where.TEXT),
    Rule("putty-key", _find_putty, ("PuTTY-User-Key-File",), Where.TEXT),
)
