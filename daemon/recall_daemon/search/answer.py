"""The shape of the answer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime

from recall_daemon.search.passages import Passage


@dataclass(frozen=True, slots=True)
class Scores:
    """Why a hit is where it is: its cosine (None without a vector), its BM25 (0 where the words did
    not find it), and whether the text holds the query word for word.
    """

    meaning: float | None
    words: float
    verbatim: bool


@dataclass(frozen=True, slots=True)
class Witness:
    """A memory that says what the hit says."""

    system_id: str
    memory_id: str
    created_at: datetime | None
    agent_id: str | None


@dataclass(frozen=True, slots=True)
class Turn:
    """A neighbour of a hit in its session; without a text as a hit is."""

    memory_id: str
    text: str | None
    created_at: datetime | None
    summary: str | None
    text_missing: str | None


@dataclass(frozen=True, slots=True)
class Context:
    """The turns around a hit, in the order in which they were said."""

    before: tuple[Turn, ...]
    after: tuple[Turn, ...]


@dataclass(frozen=True, slots=True)
class SearchHit:
    """One memory: what it says, where it came from, and why it was found.

    `score` falls along the hits: fused score in [0, 1], plus 1 where the text holds the query or an
    identifier of it as it stands, or 2 where the query names the memory's id. `seq` is the snapshot
    that brought it. `text` is None where the memory has none, or where it could not be fetched:
    then `text_missing` says why, and `summary` what it was about. `passage` is the part that
    answers. `witnesses` are all memories that were folded into this hit, the newest of which it
    shows, itself included; at most `WITNESSES_MAX` of the `witness_count`.
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
    passage: Passage | None
    summary: str | None
    text_missing: str | None
    witnesses: tuple[Witness, ...]
    witness_count: int
    context: Context | None = None
    explanation: Mapping[str, object] | None = None

    def to_json(self) -> dict[str, object]:
        """`context` and `explanation` only where they were asked for."""
        asked_for = ("context", "explanation")
        return {
            name: _plain(value)
            for name, value in asdict(self).items()
            if value is not None or name not in asked_for
        }


@dataclass(frozen=True, slots=True)
class SearchAnswer:
    """`degraded`: the search went by words alone, since no meaning of the query could be had.
    `incomplete`: memories may be missing, since the index is still being read or made from the
    store, or lacks words of cold rows.

    `next_offset` is where the next page starts, None after the last. `quotes_not_held`: no memory
    has all of these, so none had to have them.
    """

    query: str
    degraded: bool
    incomplete: bool
    hits: tuple[SearchHit, ...]
    next_offset: int | None = None
    quotes_not_held: tuple[str, ...] = ()

    def to_json(self) -> dict[str, object]:
        return {
            "query": self.query,
            "degraded": self.degraded,
            "incomplete": self.incomplete,
            "hits": [hit.to_json() for hit in self.hits],
            "next_offset": self.next_offset,
            "quotes_not_held": list(self.quotes_not_held),
        }


def _plain(value: object) -> object:
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat()
    if isinstance(value, dict):
        return {name: _plain(item) for name, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, list | tuple) else value
