"""Whose memories whoever asks may see, as a clause of the filters."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from recall_daemon.index.growable import Array

# The code of a row's missing value, and one that no row has.
NO_VALUE = -1
NOBODY = -2


class RowIds:
    """Some row ids. Equal to itself alone: who keeps a filter compares one object, not each id."""

    __slots__ = ("array",)

    def __init__(self, row_ids: Iterable[int] = ()) -> None:
        self.array: Array = np.unique(np.fromiter(row_ids, dtype=np.int64))
        self.array.flags.writeable = False

    def __len__(self) -> int:
        return len(self.array)

    def __contains__(self, row_id: int) -> bool:
        at = int(np.searchsorted(self.array, row_id))
        return at < len(self.array) and bool(self.array[at] == row_id)

    def among(self, row_ids: Array) -> Array:
        """Which of the row ids are here, as a mask. For a few hundred of them at a time."""
        if not len(self.array):
            return np.zeros(len(row_ids), dtype=np.bool_)
        at = np.minimum(np.searchsorted(self.array, row_ids), len(self.array) - 1)
        return np.asarray(self.array[at] == row_ids)

    def same_as(self, other: RowIds) -> bool:
        return np.array_equal(self.array, other.array)


NO_ROWS = RowIds()


@dataclass(frozen=True, slots=True)
class Mark:
    """What makes memories visible by their tags: one of `tags`, and one of `also` where it names
    some; of what `agent` wrote, or with None of what anybody did."""

    tags: tuple[str, ...]
    also: tuple[str, ...] = ()
    agent: str | None = None

    def holds(self, agent_id: str | None, tags: Collection[str]) -> bool:
        is_of = self.agent is None or self.agent == agent_id
        return is_of and _has_one(tags, self.tags) and (not self.also or _has_one(tags, self.also))


@dataclass(frozen=True, slots=True)
class Seen:
    """A row passes when its user is nobody or `user`, it has none of the `denied` tags, and it is
    the agent's, or among the `shared`, or has one of the `marks`.

    `agent` None: whoever wrote it; then `shared` and `marks` say nothing.
    """

    agent: str | None = None
    user: str | None = None
    denied: tuple[str, ...] = ()
    shared: RowIds = NO_ROWS
    marks: tuple[Mark, ...] = ()

    def passes(
        self, row_id: int, agent_id: str | None, user_id: str | None, tags: Collection[str] | None
    ) -> bool:
        """Whether this one row does."""
        if user_id not in (None, self.user) or _has_one(tags or (), self.denied):
            return False
        if self.agent is None or agent_id == self.agent or row_id in self.shared:
            return True
        return any(mark.holds(agent_id, tags or ()) for mark in self.marks)


@dataclass(frozen=True, slots=True)
class CodedMark:
    """`agent` None: of anybody."""

    tags: tuple[int, ...]
    also: tuple[int, ...]
    agent: int | None


@dataclass(frozen=True, slots=True)
class CodedSeen:
    """The same in the index's codes. `agent` None: whoever wrote it."""

    agent: int | None
    user: int
    denied: tuple[int, ...]
    shared: RowIds
    marks: tuple[CodedMark, ...]

    def among(self, rows: Rows) -> Array:
        """Which of the rows pass, as a mask."""
        mask = (rows.user == NO_VALUE) | (rows.user == self.user)
        if self.denied:
            mask &= ~rows.tagged(self.denied)
        if self.agent is None:
            return np.asarray(mask)
        held = (rows.agent == self.agent) | rows.shared
        for mark in self.marks:
            held |= _marked(rows, mark)
        return np.asarray(mask & held)


class Rows(NamedTuple):
    """Rows of the index: codes and masks by their position. `tagged`: which have one of some tags.
    `shared`: which are among those of the clause."""

    agent: Array
    user: Array
    shared: Array
    tagged: Callable[[tuple[int, ...]], Array]


def coded(seen: Seen, known: Callable[[str, tuple[str, ...]], tuple[int, ...]]) -> CodedSeen:
    """`known` gives the codes of those values of a field that any row ever had."""
    marks = []
    for mark in seen.marks:
        tags, also = known("tag", mark.tags), known("tag", mark.also)
        if tags and (also or not mark.also):
            agent = None if mark.agent is None else _code(known("agent", (mark.agent,)))
            marks.append(CodedMark(tags, also, agent))
    return CodedSeen(
        agent=None if seen.agent is None else _code(known("agent", (seen.agent,))),
        user=NO_VALUE if seen.user is None else _code(known("user", (seen.user,))),
        denied=known("tag", seen.denied),
        shared=seen.shared,
        marks=tuple(marks),
    )


def _code(codes: tuple[int, ...]) -> int:
    return codes[0] if codes else NOBODY


def _marked(rows: Rows, mark: CodedMark) -> Array:
    mask = rows.tagged(mark.tags)
    if mark.also:
        mask = mask & rows.tagged(mark.also)
    return mask if mark.agent is None else mask & (rows.agent == mark.agent)


def _has_one(tags: Collection[str], wanted: Collection[str]) -> bool:
    return any(tag in tags for tag in wanted)
