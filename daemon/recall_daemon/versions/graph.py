"""The versions of one memory and how they grew from each other."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Literal

from recall_wire.records import Record

# home: what its own system said; edit: what another writer made of a version; merge and auto: what
# the hub made of two that did not, and that did, say different things; resolution: somebody's own
# decision between two.
VersionKind = Literal["home", "edit", "merge", "auto", "resolution"]
# What the hub can make again from the others.
DERIVED: frozenset[VersionKind] = frozenset({"merge", "auto"})

Rank = tuple[int, int, int]


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
    """The versions of a memory, in whatever order they came."""

    def __init__(self, versions: Iterable[Version]) -> None:
        self.by_id: Mapping[str, Version] = {one.version_id: one for one in versions}

    @cached_property
    def home(self) -> Version | None:
        """What its own system said last."""
        return self._homes[-1] if self._homes else None

    @cached_property
    def revived(self) -> frozenset[str]:
        """What lost, and is in question again."""
        found: set[str] = set()
        left = [one.cut for one in self.by_id.values() if one.cut is not None]
        while left:
            name = left.pop()
            found.add(name)
            known = self.by_id.get(name)
            left += known.grows_from if known is not None and known.kind in DERIVED else ()
        return frozenset(found)

    def leaves(self) -> list[Version]:
        """What nobody built on: of its own system's versions the last, and no derived one.

        In the order in which they were written.
        """
        real = [one for one in self.by_id.values() if self._is_said(one)]
        older = self.ancestors(parent for one in real for parent in one.grows_from)
        return sorted((one for one in real if one.version_id not in older), key=_age)

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

    def base(self, ours: Version, theirs: Version) -> Version | None:
        """The newest version that both grew from; its system's own follow each other."""
        common = self._history(ours) & self._history(theirs)
        known = [self.by_id[name] for name in common if name in self.by_id]
        # Whatever one of them grew from is common, too.
        older = {parent for one in known for parent in self._parents(one)}
        lowest = [one for one in known if one.version_id not in older]
        return max(lowest or known, key=_age, default=None)

    def began_at(self, branch: Version, other: Version) -> tuple[datetime, str]:
        """When a branch began that the other has not: its first version's time and name."""
        own = self.ancestors([branch.version_id, *branch.grows_from])
        own -= self.ancestors([other.version_id, *other.grows_from])
        said = [self.by_id[name] for name in own if name in self.by_id]
        return min((_age(one) for one in said if one.kind not in DERIVED), default=_age(branch))

    def has_heirs(self, version_id: str) -> bool:
        """Whether somebody built on this version."""
        return any(
            version_id in self.ancestors(one.grows_from)
            for one in self.by_id.values()
            if one.kind not in DERIVED and not one.withdrawn and one.version_id != version_id
        )

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

    def _is_said(self, one: Version) -> bool:
        if one.kind == "home":
            return one is self.home
        return one.kind not in DERIVED and not one.withdrawn

    def _parents(self, one: Version) -> list[str]:
        before = self._before.get(one.version_id)
        return [*one.grows_from, *([] if before is None else [before])]

    def _history(self, version: Version) -> set[str]:
        """Its ancestors and itself, where each of the system's own grew from the one before."""
        found: set[str] = set()
        left = [version.version_id, *version.grows_from]
        while left:
            name = left.pop()
            if name not in found:
                found.add(name)
                known = self.by_id.get(name)
                left += [] if known is None else self._parents(known)
        return found


def _age(version: Version) -> tuple[datetime, str]:
    return version.written_at, version.version_id
