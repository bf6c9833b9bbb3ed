"""The versions of one memory and how they grew from each other."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Final, Literal

from recall_wire.records import Record

# home: what its own system said; edit: what another writer made of a version; merge and auto: what
# the hub made of two that did not, and that did, say different things; resolution: somebody's own
# decision between two.
VersionKind = Literal["home", "edit", "merge", "auto", "resolution"]
# What the hub can make again from the others.
DERIVED: frozenset[VersionKind] = frozenset({"merge", "auto"})

Rank = tuple[int, int, int]

# The priority of a version that was stored before anybody asked for it.
NOT_LOOKED_UP: Final = -1


@dataclass(frozen=True)
class Version:
    """One version. `rank`: its place in its system's order, of a home one alone.

    `record` None: its system deleted the memory (then `content_hash` is empty), or the content is
    purged. `withdrawn`: a decision that was undone; `cut`: a parent that it no longer stands for.
    """

    version_id: str
    parents: tuple[str, ...]
    kind: VersionKind
    content_hash: str
    record: Record | None
    author: str | None
    agent_id: str | None
    priority: int
    written_at: datetime
    rank: Rank | None = None
    withdrawn: bool = False
    cut: str | None = None

    @property
    def is_delete(self) -> bool:
        return self.kind == "home" and not self.content_hash

    @property
    def grows_from(self) -> tuple[str, ...]:
        return tuple(parent for parent in self.parents if parent != self.cut)


class Graph:
    """The versions of a memory, in whatever order they came.

    Histories are kept as the bits of an integer each, one bit a version: to ask whether one grew
    from another, or what two have in common, takes a microsecond however long they are.
    """

    def __init__(self, versions: Iterable[Version]) -> None:
        self.by_id: dict[str, Version] = {one.version_id: one for one in versions}
        self._bits: dict[str, int] = {}
        self._histories: dict[str, int] = {}

    def add(self, version: Version) -> None:
        """One that the hub made."""
        if version.version_id in self.by_id:
            return
        self.by_id[version.version_id] = version
        self.__dict__.pop("_in_question", None)
        if version.version_id in self._bits:  # somebody built on it
            self._histories.clear()

    @cached_property
    def home(self) -> Version | None:
        """What its own system said last."""
        return self._homes[-1] if self._homes else None

    def is_in_question(self, ours: Version, theirs: Version) -> bool:
        """Whether `theirs` brings what `ours` has not, and what a decision was undone about: it, or
        something that it grew from, had lost, and may win after all."""
        return any(self._of_theirs(ours, theirs) & self.bit(name) for name in self._in_question)

    def is_decided(self, ours: Version, theirs: Version) -> bool:
        """Whether somebody decided between the two, or between what they grew from."""
        mine, yours = self._of_theirs(theirs, ours), self._of_theirs(ours, theirs)
        for decision in self._decisions:
            bits = [self.bit(parent) for parent in decision.grows_from]
            if any(mine & bit for bit in bits) and any(yours & bit for bit in bits):
                return True
        return False

    def _of_theirs(self, ours: Version, theirs: Version) -> int:
        """The bits of what is in their history, and not in ours."""
        return self.history(theirs) & ~self.history(ours)

    @cached_property
    def _decisions(self) -> list[Version]:
        kept = (one for one in self.by_id.values() if one.kind == "resolution")
        return [one for one in kept if not one.withdrawn]

    @cached_property
    def _in_question(self) -> frozenset[str]:
        """What lost, and may win after all: the decisions against it were undone."""
        found: set[str] = set()
        left = [one.cut for one in self.by_id.values() if one.cut is not None]
        while left:
            name = left.pop()
            found.add(name)
            known = self.by_id.get(name)
            left += known.grows_from if known is not None and known.kind in DERIVED else ()
        return frozenset(found)

    def said(self) -> list[Version]:
        """What somebody said, and the hub did not make: each after what it grew from, else in the
        order in which they were written.

        Of its own system's versions the last, and those that somebody built on.
        """
        own = [one for one in self.by_id.values() if self._is_edit(one)]
        built_on = self.ancestors(parent for one in own for parent in one.grows_from)
        return [
            one
            for one in self._ordered()
            if self._is_edit(one) or one is self.home or self._is_home_in(one, built_on)
        ]

    def ancestors(self, version_ids: Iterable[str]) -> set[str]:
        """These versions and all that they grew from, as far as they are known by name."""
        found: set[str] = set()
        left = list(version_ids)
        while left:
            name = left.pop()
            if name not in found:
                found.add(name)
                known = self.by_id.get(name)
                left += () if known is None else known.grows_from
        return found

    def bit(self, version_id: str) -> int:
        """Of a version, in `history`."""
        return self._bits.setdefault(version_id, 1 << len(self._bits))

    def history(self, version: Version) -> int:
        """The bits of its ancestors and of itself, where each of the system's own grew from the one
        before."""
        return self._history(version.version_id)

    def grew_from(self, version: Version, version_id: str) -> bool:
        """Whether that is in its history; it is in its own."""
        return bool(self.history(version) & self.bit(version_id))

    def bases(self, one: Version, other: Version) -> list[Version]:
        """The newest versions that both grew from, the first first; several where they crossed."""
        common = self.history(one) & self.history(other)
        # The way is shorter from what has less that the other has not.
        nearer = min((one, other), key=lambda v: (self.history(v) & ~common).bit_count())
        met = [self.by_id[name] for name in self._edge(nearer, common) if name in self.by_id]
        newest = [
            version
            for version in met
            if not self._is_on_circle(version)
            and not any(v is not version and self.grew_from(v, version.version_id) for v in met)
        ]
        if not newest:
            known = [v for v in self.by_id.values() if self.bit(v.version_id) & common]
            return sorted(known, key=age)[-1:]
        return sorted(newest, key=age)

    def _is_on_circle(self, version: Version) -> bool:
        """Then whatever grew from it is as old. A system that says again what it said once may
        close one."""
        mine = self.bit(version.version_id)
        return any(self._history(parent) & mine for parent in self._parents(version))

    def _edge(self, one: Version, common: int) -> set[str]:
        """Where the way back from a version first meets these bits."""
        found: set[str] = set()
        seen: set[str] = set()
        left = [one.version_id]
        while left:
            name = left.pop()
            if self.bit(name) & common:
                found.add(name)
            elif name not in seen and name in self.by_id:
                seen.add(name)
                left += self._parents(self.by_id[name])
        return found

    def _history(self, version_id: str) -> int:
        """Whatever is known of an ancestor's history is not walked again."""
        found = self._histories.get(version_id)
        if found is not None:
            return found
        found = 0
        left = [version_id]
        while left:
            name = left.pop()
            known = self._histories.get(name)
            if known is not None:
                found |= known
            elif not found & self.bit(name):
                found |= self.bit(name)
                version = self.by_id.get(name)
                left += [] if version is None else self._parents(version)
        self._histories[version_id] = found
        return found

    @cached_property
    def _homes(self) -> list[Version]:
        """The system's own versions, the first first."""
        ranked = [one for one in self.by_id.values() if one.rank is not None]
        return sorted(ranked, key=lambda one: one.rank or (0, 0, 0))

    @cached_property
    def _before(self) -> Mapping[str, str]:
        """What the system said before each of its own versions."""
        return {
            later.version_id: earlier.version_id
            for earlier, later in zip(self._homes, self._homes[1:], strict=False)
        }

    def _is_edit(self, one: Version) -> bool:
        return one.kind in ("edit", "resolution") and not one.withdrawn

    def _is_home_in(self, one: Version, names: set[str]) -> bool:
        return one.kind == "home" and one.version_id in names

    def _parents(self, one: Version) -> list[str]:
        before = self._before.get(one.version_id)
        return [*one.grows_from, *([] if before is None else [before])]

    def _ordered(self) -> list[Version]:
        """All, parents first. A system that says again what it said once may close a circle: what
        is on it comes last."""
        waiting = {
            name: {parent for parent in self._parents(one) if parent in self.by_id}
            for name, one in self.by_id.items()
        }
        heirs: dict[str, list[str]] = {}
        for name, parents in waiting.items():
            for parent in parents:
                heirs.setdefault(parent, []).append(name)
        ready = [age(self.by_id[name]) for name, parents in waiting.items() if not parents]
        heapq.heapify(ready)
        ordered = []
        while ready:
            _, name = heapq.heappop(ready)
            ordered.append(self.by_id[name])
            del waiting[name]
            for heir in heirs.get(name, ()):
                waiting[heir].discard(name)
                if not waiting[heir]:
                    heapq.heappush(ready, age(self.by_id[heir]))
        return [*ordered, *sorted((self.by_id[name] for name in waiting), key=age)]


def age(version: Version) -> tuple[datetime, str]:
    """What versions are ordered by: when they were written, then their names."""
    return version.written_at, version.version_id
