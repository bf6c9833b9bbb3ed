"""What a search may be narrowed to. Filters apply before top-k, never after."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from recall_daemon.index.seen import CodedSeen, RowIds, Seen

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Filters:
    """Allowed values of each field; an empty tuple allows all. A row passes when every field does.

    Of the tags one must be among the allowed. Times are aware: `since <= created_at < until`; a
    row without a time passes neither. `seen`: what of it whoever asks may see; None: all.
    `every_tag`: all of these; `rows`: these alone, None: all.
    """

    systems: tuple[str, ...] = ()
    projects: tuple[str, ...] = ()
    kinds: tuple[str, ...] = ()
    sessions: tuple[str, ...] = ()
    agents: tuple[str, ...] = ()
    users: tuple[str, ...] = ()
    namespaces: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    since: datetime | None = None
    until: datetime | None = None
    seen: Seen | None = None
    every_tag: tuple[str, ...] = ()
    rows: RowIds | None = None

    def allowed(self) -> list[tuple[str, tuple[str, ...]]]:
        """The index's name of a field and the allowed values, only for what narrows; a row has one
        of each. Tags may come more than once."""
        by_field = {
            "system": self.systems,
            "project": self.projects,
            "kind": self.kinds,
            "session": self.sessions,
            "agent": self.agents,
            "user": self.users,
            "namespace": self.namespaces,
            "tag": self.tags,
        }
        narrowing = [(name, values) for name, values in by_field.items() if values]
        return narrowing + [("tag", (tag,)) for tag in self.every_tag]


NO_FILTERS = Filters()


@dataclass(frozen=True, slots=True)
class CodedFilters:
    """The same with the index's codes: field name → allowed codes, only for fields that narrow.

    `since_us` and `until_us` are microseconds since 1970, half-open; `plain` are the filters they
    were made from.
    """

    allowed: tuple[tuple[str, tuple[int, ...]], ...] = ()
    since_us: int | None = None
    until_us: int | None = None
    seen: CodedSeen | None = None
    rows: RowIds | None = None
    plain: Filters = NO_FILTERS


def microseconds(moment: datetime | None) -> int | None:
    """Microseconds since 1970, exact (a float timestamp would lose some)."""
    return None if moment is None else (moment - _EPOCH) // timedelta(microseconds=1)


def moment_of(us: int) -> datetime:
    """The time of so many microseconds since 1970, in UTC."""
    return _EPOCH + timedelta(microseconds=us)
