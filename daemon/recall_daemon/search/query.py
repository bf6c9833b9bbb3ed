"""What can be asked, checked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Literal, get_args

from recall_daemon.index.filters import Filters
from recall_daemon.iso_time import in_utc
from recall_wire.errors import TerminalError

QUERY_MAX_CHARS = 100_000
LIMIT_MAX = 100
REACH_MAX = 1_000
CONTEXT_MAX = 10
FILTER_MAX_VALUES = 1_000
Mode = Literal["hybrid", "words", "meaning"]
_DIGITS_MAX = 20
_FILTERS = ("system", "project", "kind", "session", "tags", "agent", "user", "namespace")


class QueryInvalid(TerminalError):
    """A search that cannot be answered as it was asked."""


@dataclass(frozen=True, slots=True)
class SearchRequest:
    """A search. Each filter is a tuple of allowed values, empty for all; see `Filters`.

    The query is plain text; terms in double quotes must stand side by side in every hit (case,
    accents and word endings aside), unless the query has other words and nothing holds them. NUL
    and lone surrogates, which no text in the store holds, are taken out. Naive times are UTC.

    `offset` and `limit` cut a page out of the ranking, within its first `REACH_MAX` hits. `context`
    asks for so many turns of the session on either side of a hit. `recency_weight` w makes a score
    s into s * (1 - w) + w * f, where f is 1 for now, halves every 30 days, and is 0 without a time;
    `importance_weight` then does the same with the importance (0 where there is none). Hits below
    `min_score` are left out. `fold`: near-duplicates are one hit. Raises `QueryInvalid`.
    """

    query: str
    system: tuple[str, ...] = ()
    project: tuple[str, ...] = ()
    kind: tuple[str, ...] = ()
    session: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    since: datetime | None = None
    until: datetime | None = None
    limit: int = 10
    offset: int = 0
    mode: Mode = "hybrid"
    agent: tuple[str, ...] = ()
    user: tuple[str, ...] = ()
    namespace: tuple[str, ...] = ()
    explain: bool = False
    context: int = 0
    recency_weight: float = 0.0
    importance_weight: float = 0.0
    min_score: float = 0.0
    fold: bool = True

    def __post_init__(self) -> None:
        object.__setattr__(self, "query", _query(self.query))
        for name in _FILTERS:
            object.__setattr__(self, name, _values(name, getattr(self, name)))
        for name in ("since", "until"):
            object.__setattr__(self, name, _time(name, getattr(self, name)))
        if self.since is not None and self.until is not None and self.since >= self.until:
            raise QueryInvalid(
                f"since {self.since.isoformat()} is not before until {self.until.isoformat()}",
                hint="a memory is found from since on, and before until",
            )
        _whole("limit", self.limit, 1, LIMIT_MAX)
        _whole("offset", self.offset, 0, REACH_MAX)
        _whole("context", self.context, 0, CONTEXT_MAX)
        if self.offset + self.limit > REACH_MAX:
            raise QueryInvalid(
                f"offset and limit reach to {self.offset + self.limit}",
                hint=f"the first {REACH_MAX} hits can be paged through; narrow the search",
            )
        for name in ("recency_weight", "importance_weight"):
            object.__setattr__(self, name, _number(name, getattr(self, name), 1.0))
        object.__setattr__(self, "min_score", _number("min_score", self.min_score, 3.0))
        for name in ("explain", "fold"):
            if not isinstance(getattr(self, name), bool):
                raise QueryInvalid(f"{name} is neither true nor false")
        if self.mode not in get_args(Mode):
            raise QueryInvalid(
                f"mode {str(self.mode)[:40]!r} is not known",
                hint=f"known are {', '.join(get_args(Mode))}",
            )

    @classmethod
    def from_json(cls, body: object) -> SearchRequest:
        """Read the body of a request: a filter may be one string or a list of them.

        Times are ISO 8601. Unknown keys are refused: most likely typos.
        """
        if not isinstance(body, Mapping):
            raise QueryInvalid("the request is not a JSON object")
        known = {field.name for field in fields(cls)}
        unknown = sorted(str(key)[:40] for key in body if key not in known)
        if unknown:
            raise QueryInvalid(
                f"{unknown[0]!r} is not known", hint=f"known are {', '.join(sorted(known))}"
            )
        if body.get("query") is None:
            raise QueryInvalid("there is no query")
        return cls(**{key: value for key, value in body.items() if value is not None})

    @property
    def ranking(self) -> tuple[object, ...]:
        """What its ranking depends on, whatever of that is shown."""
        return tuple(getattr(self, name) for name in _RANKED)

    @property
    def filters(self) -> Filters:
        return Filters(
            systems=self.system,
            projects=self.project,
            kinds=self.kind,
            sessions=self.session,
            tags=self.tags,
            agents=self.agent,
            users=self.user,
            namespaces=self.namespace,
            since=self.since,
            until=self.until,
        )


_SHOWN = ("limit", "offset", "explain", "context")
_RANKED = tuple(field.name for field in fields(SearchRequest) if field.name not in _SHOWN)


def _query(value: object) -> str:
    if not isinstance(value, str):
        raise QueryInvalid("the query is not text")
    if len(value) > QUERY_MAX_CHARS:
        raise QueryInvalid(
            f"the query has {len(value)} characters",
            hint=f"at most {QUERY_MAX_CHARS} are allowed; a passage of it is enough",
        )
    query = value.replace("\0", " ").encode("utf-8", "ignore").decode()
    if not query.strip():
        raise QueryInvalid("the query is empty")
    return query


def _values(name: str, value: object) -> tuple[str, ...]:
    values = (value,) if isinstance(value, str) else value
    if not isinstance(values, Sequence) or not all(isinstance(item, str) for item in values):
        raise QueryInvalid(f"{name} is neither text nor a list of texts")
    if len(values) > FILTER_MAX_VALUES:
        raise QueryInvalid(f"{name} has {len(values)} values, more than {FILTER_MAX_VALUES}")
    # A lone surrogate cannot be written as UTF-8; no memory has such a value.
    return tuple(item.encode("utf-8", "backslashreplace").decode() for item in values)


def _whole(name: str, value: object, lowest: int, highest: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int):
        raise QueryInvalid(f"{name} is not a whole number")
    if not lowest <= value <= highest:
        raise QueryInvalid(f"{name} is {_short(value)}; {lowest} to {highest} are allowed")


def _number(name: str, value: object, highest: float) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise QueryInvalid(f"{name} is not a number")
    if not 0 <= value <= highest:  # refuses NaN, too
        raise QueryInvalid(f"{name} is {_short(value)}; 0 to {highest:g} are allowed")
    return float(value)


def _short(number: float) -> str:
    """A number of hundreds of digits is no sentence."""
    digits = str(number)
    return digits if len(digits) <= _DIGITS_MAX else f"{digits[:_DIGITS_MAX]}…"


def _time(name: str, value: object) -> datetime | None:
    if value is None:
        return None
    try:
        return in_utc(value)
    except (ValueError, OverflowError) as error:
        raise QueryInvalid(
            f"{name} {str(value)[:40]!r} is not a time", hint="write it as 2026-01-31T12:00:00Z"
        ) from error
