"""What is to be forgotten, checked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime

from recall_daemon.errors import ForgetInvalid
from recall_daemon.iso_time import in_utc
from recall_daemon.search.verbatim import normal
from recall_wire.errors import UnsafeKey
from recall_wire.layout import check_system_id

MAX_VALUES = 100_000
VALUE_MAX_CHARS = 1_000
QUERY_MAX_CHARS = 100_000


@dataclass(frozen=True)
class Criteria:
    """Every one that is given must hold: of ids, systems and projects one value each.

    `ids` as people write them: SYSTEM/MEMORY_ID, or MEMORY_ID alone where that says which.
    `since <= created_at < until`, aware; a memory without a time is within no time. `query` is text
    that a memory's own text holds word for word, whatever the case, white space and Unicode form.
    `identities` name memories without a doubt, (system_id, memory_id); no JSON says them.
    Raises `ForgetInvalid`, also where nothing is given.
    """

    ids: tuple[str, ...] = ()
    system: tuple[str, ...] = ()
    project: tuple[str, ...] = ()
    since: datetime | None = None
    until: datetime | None = None
    query: str | None = None
    identities: tuple[tuple[str, str], ...] = ()

    def __post_init__(self) -> None:
        for system_id in self.system:
            _check_system(system_id)
        for value in (*self.ids, *self.project):
            _check_text("an id or a project", value, VALUE_MAX_CHARS)
        if self.query is not None:
            _check_text("the query", self.query, QUERY_MAX_CHARS)
            if not normal(self.query):
                raise ForgetInvalid("the query is empty")
        if max(len(self.ids), len(self.system), len(self.project)) > MAX_VALUES:
            raise ForgetInvalid(f"more than {MAX_VALUES} values of one kind")
        if not any(getattr(self, field.name) for field in fields(self)):
            raise ForgetInvalid(
                "nothing says what to forget", hint="name ids, a system, a project, a time, a query"
            )

    @classmethod
    def from_json(cls, body: object) -> Criteria:
        """`{ids: [], system: [], project: [], since, until, query}`."""
        if not isinstance(body, Mapping):
            raise ForgetInvalid("the request is not a JSON object")
        unknown = sorted(str(key)[:40] for key in body if key not in _NAMES)
        if unknown:
            raise ForgetInvalid(f"{unknown[0]!r} is not known", hint=f"known are {_NAMES}")
        query = body.get("query")
        if query is not None and not isinstance(query, str):
            raise ForgetInvalid("the query is not text")
        return cls(
            ids=_texts("ids", body.get("ids")),
            system=_texts("system", body.get("system")),
            project=_texts("project", body.get("project")),
            since=moment("since", body.get("since")),
            until=moment("until", body.get("until")),
            query=query,
        )

    def to_json(self) -> dict[str, object]:
        """What `from_json` reads."""
        values: dict[str, object] = {
            "ids": list(self.ids),
            "system": list(self.system),
            "project": list(self.project),
            "since": self.since and self.since.isoformat(),
            "until": self.until and self.until.isoformat(),
            "query": self.query,
        }
        return {name: value for name, value in values.items() if value}


_NAMES = ("ids", "system", "project", "since", "until", "query")


def moment(name: str, value: object) -> datetime | None:
    """An ISO 8601 time; naive ones are UTC."""
    if value is None:
        return None
    try:
        return in_utc(value)
    except (ValueError, OverflowError) as error:
        raise ForgetInvalid(f"{name} {str(value)[:40]!r} is not a time") from error


def _texts(name: str, value: object) -> tuple[str, ...]:
    values = (value,) if isinstance(value, str) else value or ()
    if not isinstance(values, Sequence) or not all(isinstance(item, str) for item in values):
        raise ForgetInvalid(f"{name} is neither text nor a list of texts")
    return tuple(values)


def _check_text(what: str, value: str, max_chars: int) -> None:
    if not value:
        raise ForgetInvalid(f"{what} is empty")
    if len(value) > max_chars:
        raise ForgetInvalid(f"{what} has more than {max_chars} characters")
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise ForgetInvalid(f"{what} is not valid Unicode") from error


def _check_system(system_id: str) -> None:
    try:
        check_system_id(system_id)
    except UnsafeKey as error:
        raise ForgetInvalid(f"{system_id[:80]!r} is no system's id") from error
