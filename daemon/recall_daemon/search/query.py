"""What can be asked, checked, and the shape of the answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime

from recall_daemon.index.filters import Filters
from recall_wire.errors import TerminalError

QUERY_MAX_CHARS = 100_000
LIMIT_MAX = 100
FILTER_MAX_VALUES = 1_000
_FILTERS = ("system", "project", "kind", "session", "tags")


class QueryInvalid(TerminalError):
    """A search that cannot be answered as it was asked."""


@dataclass(frozen=True, slots=True)
class SearchRequest:
    """A search. Each filter is a tuple of allowed values, empty for all; see `Filters`.

    The query is plain text and has no syntax. NUL and lone surrogates, which no text in the store
    holds, are taken out of it. Naive times are UTC. Raises `QueryInvalid`.
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

    def __post_init__(self) -> None:
        object.__setattr__(self, "query", _query(self.query))
        for name in _FILTERS:
            object.__setattr__(self, name, _values(name, getattr(self, name)))
        for name in ("since", "until"):
            object.__setattr__(self, name, _time(name, getattr(self, name)))
        if isinstance(self.limit, bool) or not isinstance(self.limit, int):
            raise QueryInvalid("limit is not a whole number")
        if not 1 <= self.limit <= LIMIT_MAX:
            raise QueryInvalid(f"limit is {self.limit}; 1 to {LIMIT_MAX} are allowed")

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
    def filters(self) -> Filters:
        return Filters(
            systems=self.system,
            projects=self.project,
            kinds=self.kind,
            sessions=self.session,
            tags=self.tags,
            since=self.since,
            until=self.until,
        )


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
    return tuple(values)


def _time(name: str, value: object) -> datetime | None:
    if value is None:
        return None
    try:
        moment = datetime.fromisoformat(value) if isinstance(value, str) else value
        if not isinstance(moment, datetime):
            raise ValueError("neither a time nor text")
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise QueryInvalid(
            f"{name} {str(value)[:40]!r} is not a time", hint="write it as 2026-01-31T12:00:00Z"
        ) from error


@dataclass(frozen=True, slots=True)
class Scores:
    """Why a hit is where it is: its cosine (None without a vector), its BM25, and whether the text
    holds the query word for word.
    """

    meaning: float | None
    words: float
    verbatim: bool


@dataclass(frozen=True, slots=True)
class SearchHit:
    """One memory: what it says, where it came from, and why it was found.

    `score` falls along the hits: fused score in [0, 1], plus 1 where the text holds the query word
    for word. `seq` is the snapshot that brought it.
    """

    system_id: str
    memory_id: str
    kind: str
    text: str | None
    project: str | None
    session_id: str | None
    created_at: datetime | None
    tier: str
    score: float
    agent_id: str | None
    seq: int
    tags: tuple[str, ...]
    scores: Scores

    def to_json(self) -> dict[str, object]:
        created = self.created_at and self.created_at.astimezone(UTC).isoformat()
        return {**asdict(self), "created_at": created, "tags": list(self.tags)}


@dataclass(frozen=True, slots=True)
class SearchAnswer:
    """`degraded`: the search went by words alone, since no meaning of the query could be had."""

    query: str
    degraded: bool
    hits: tuple[SearchHit, ...]

    def to_json(self) -> dict[str, object]:
        hits = [hit.to_json() for hit in self.hits]
        return {"query": self.query, "degraded": self.degraded, "hits": hits}
