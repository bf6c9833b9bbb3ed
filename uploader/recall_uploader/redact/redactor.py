"""Replaces secrets by `[redacted:<rule>]`, in texts, JSON values, identities and whole records."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import fields
from typing import Any

from recall_uploader.redact.commands import named_secret
from recall_uploader.redact.glance import Glance
from recall_uploader.redact.names import promise
from recall_uploader.redact.record import RedactedRecord
from recall_uploader.redact.rule import MARKER, Rule, RuleSet, Span
from recall_uploader.redact.rules import RULES
from recall_uploader.redact.settings import RedactRule, compiled
from recall_wire.errors import SettingsInvalid
from recall_wire.formats.values import dump_json, load_json
from recall_wire.records import Record

_NAMED_RULE = "assigned"
_IDENTITIES = (
    *("memory_id", "parent_id", "session_id", "agent_id", "user_id"),
    *("target_system", "base_version"),
)
_NAMES = ("project", "namespace")
_FIELDS = tuple(field.name for field in fields(Record))
_ALL_SECRET = ("passwords", "secrets", "credentials")
_DEPTH_MAX = 100  # dump_json's: what is deeper becomes null
_PASSES_MAX = 8

Found = tuple[int, int, int]


class Redactor:
    """Deterministic and idempotent: the same text gives the same, and a redacted one itself.

    `allow` are regular expressions: a find that one of them matches in full stays readable.
    `counts` is per rule name; clear it to begin anew. Raises `SettingsInvalid`.
    """

    def __init__(self, rules: Sequence[RedactRule] = (), allow: Sequence[str] = ()) -> None:
        self._rules = RuleSet((*RULES, *(_own(rule) for rule in rules)))
        self._glance = Glance(self._rules.rules)
        self._allow = tuple(_allowed(pattern) for pattern in allow)
        self.counts: Counter[str] = Counter()

    def text(self, text: str) -> tuple[str, int]:
        """The text without its secrets, and how many there were.

        Where each pass lays bare another, as in a text made for it, all from the first that is
        left goes; where this lays bare one more, all of it.
        """
        total = 0
        # What is left of a line can look like a secret again: until nothing is found.
        for left in range(_PASSES_MAX + 2, 0, -1):
            pieces = self._pieces(text)
            if not pieces:
                break
            if left <= 2:
                start, _, number = pieces[0]
                pieces = [(start if left == 2 else 0, len(text), number)]
            total += len(pieces)
            text = self._replaced(text, pieces)
        return text, total

    def sentence(self, text: str) -> str:
        """What a person is told, without the secrets it quotes; they are not counted."""
        before = self.counts.copy()
        clean, _ = self.text(text)
        self.counts = before
        return clean

    def identity(self, text: str) -> tuple[str, int]:
        """An id without its secrets. Distinct ones stay distinct, equal ones equal."""
        pieces = self._pieces(text)
        if not pieces:
            return text, 0
        self.counts.update(self._rules.rules[piece[2]].name for piece in pieces)
        digest = hashlib.blake2b(text.encode(errors="surrogatepass"), digest_size=6).hexdigest()
        return f"[redacted:{self._rules.rules[pieces[0][2]].name}]#{digest}", len(pieces)

    def named(self, name: str, value: str) -> tuple[str, int]:
        """A value that is kept apart from its name: in a column, or under a key."""
        clean, count = self.document(value)
        if MARKER.fullmatch(clean) or not named_secret(name, value) or self._is_allowed(value):
            return clean, count
        self.counts[_NAMED_RULE] += 1
        return f"[redacted:{_NAMED_RULE}]", count + 1

    def document(self, text: str) -> tuple[str, int]:
        """A text that may be JSON: its strings and keys are then redacted one by one, so that a
        secret is found behind its escapes, and the result is JSON again."""
        if text.lstrip()[:1] in ("{", "["):
            loaded = load_json(text)
            if isinstance(loaded, (dict, list)):
                clean, count = self._tree(loaded, "", 0)
                if count:
                    return dump_json(clean), count
        return self.text(text)

    def record(self, record: Record) -> Record:
        """The same object where nothing was found. A changed text loses its vector, which was
        made from the secret, too."""
        changed: dict[str, Any] = {}
        count = 0
        for name, (value, found) in self._fields(record):
            if found:
                changed[name] = value
                count += found
        if not count:
            return record
        if "text" in changed:
            changed["embedding"] = None
        return RedactedRecord(
            **{name: changed.get(name, getattr(record, name)) for name in _FIELDS}, redacted=count
        )

    def records(self, records: Iterable[Record]) -> Iterator[Record]:
        """Every record, in its order; many at a time are looked at together, to be fast."""
        for record, is_worth_it in self._glance.worth(records):
            yield self.record(record) if is_worth_it else record

    def _fields(self, record: Record) -> Iterator[tuple[str, tuple[object, int]]]:
        for name in _IDENTITIES:
            if value := getattr(record, name):
                yield name, self.identity(value)
        for name in _NAMES:
            if value := getattr(record, name):
                yield name, self.text(value)
        if record.text:
            yield "text", self.text(record.text)
        if record.metadata != "{}":
            yield "metadata", self.document(record.metadata)
        if record.tags:
            tags = [self.text(tag) for tag in record.tags]
            yield "tags", (tuple(dict.fromkeys(tag for tag, _ in tags)), sum(n for _, n in tags))

    def _tree(self, value: object, name: str, depth: int) -> tuple[object, int]:
        """JSON's values; a number under a name that promises a password is one, too."""
        if isinstance(value, str):
            return self.named(name, value) if name else self.document(value)
        if isinstance(value, (int, float)) and not isinstance(value, bool) and name:
            clean, count = self.named(name, str(value))
            return (clean, count) if count else (value, 0)
        if depth >= _DEPTH_MAX or not isinstance(value, (dict, list)):
            return value, 0
        if isinstance(value, list):
            items = [self._tree(item, name, depth + 1) for item in value]
            return [item for item, _ in items], sum(found for _, found in items)
        return self._object(value, name, depth)

    def _object(
        self, value: dict[str, object], above: str, depth: int
    ) -> tuple[dict[str, object], int]:
        clean: dict[str, object] = {}
        total = 0
        said = value.get("name", value.get("key"))
        for key, item in value.items():
            # {"name": "DB_PASSWORD", "value": "…"}: the name stands beside, not above.
            name = said if key == "value" and isinstance(said, str) else key
            if promise(name) is None and above.lower().endswith(_ALL_SECRET):
                name = above  # {"passwords": {"db": "…"}}
            new_key, in_key = self.identity(key)
            new_item, in_item = self._tree(item, name, depth + 1)
            clean[new_key] = new_item
            total += in_key + in_item
        return clean, total

    def _pieces(self, text: str) -> list[Found]:
        """What to replace, in order, none overlapping: start, end, number of the rule."""
        found = [
            (start, end, number)
            for start, end, number in self._rules.found(text)
            if end > start and not self._is_allowed(text[start:end])
        ]
        if not found:
            return []
        return list(_without_markers(text, _merged(found)))

    def _replaced(self, text: str, pieces: list[Found]) -> str:
        parts: list[str] = []
        done = 0
        for start, end, number in pieces:
            name = self._rules.rules[number].name
            self.counts[name] += 1
            parts += (text[done:start], f"[redacted:{name}]")
            done = end
        return "".join(parts) + text[done:]

    def _is_allowed(self, find: str) -> bool:
        return any(pattern.fullmatch(find) for pattern in self._allow)


def _merged(found: list[Found]) -> Iterator[Found]:
    """Overlapping finds become one, named by the rule that comes first."""
    found.sort()
    start, end, number = found[0]
    for other in found[1:]:
        if other[0] < end:
            end, number = max(end, other[1]), min(number, other[2])
        else:
            yield start, end, number
            start, end, number = other
    yield start, end, number


def _without_markers(text: str, found: Iterator[Found]) -> Iterator[Found]:
    """A marker is never redacted again, only what stands beside it."""
    markers = [marker.span() for marker in MARKER.finditer(text)]
    if not markers:
        yield from found
        return
    place = 0
    for start, end, number in found:
        while place < len(markers) and markers[place][1] <= start:
            place += 1
        at = start
        for low, high in _within(markers, place, end):
            if _holds_something(text[at:low]):
                yield at, low, number
            at = max(at, high)
        if _holds_something(text[at:end]):
            yield at, end, number


def _within(markers: list[Span], place: int, end: int) -> Iterator[Span]:
    while place < len(markers) and markers[place][0] < end:
        yield markers[place]
        place += 1


def _holds_something(piece: str) -> bool:
    return any(map(str.isalnum, piece))


def _own(rule: RedactRule) -> Rule:
    pattern = re.compile(rule.pattern)
    group: int | str = "secret" if "secret" in pattern.groupindex else 0

    def find(text: str, lowered: str) -> Iterator[Span]:
        return (m.span(group) for m in pattern.finditer(text) if m[group])

    return Rule(rule.name, find)


def _allowed(pattern: str) -> re.Pattern[str]:
    try:
        return compiled(pattern)
    except ValueError as error:
        raise SettingsInvalid(f"an allowed pattern of the redaction is wrong: {error}") from None
