"""How far a search may reach: what of the hub whoever asks may see."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple, Protocol

from recall_daemon.index.filters import Filters
from recall_daemon.index.seen import Seen

# A value that no system and no project has: an empty tuple of allowed ones would allow all.
_NONE = "\0"


class Told(NamedTuple):
    """A memory that was shown, and the agent that wrote it."""

    system_id: str
    memory_id: str
    agent_id: str | None


class Sight(Protocol):
    """What one agent, or one user, may see. Two that are equal are of the same."""

    def now(self) -> Seen:
        """As it is at this moment."""

    def note(self, told: Sequence[Told]) -> None:
        """These were shown."""


class Fields(Protocol):
    """What of a memory decides who may see it."""

    @property
    def system_id(self) -> str: ...
    @property
    def project(self) -> str | None: ...
    @property
    def agent_id(self) -> str | None: ...
    @property
    def user_id(self) -> str | None: ...
    @property
    def tags(self) -> Collection[str] | None: ...


@dataclass(frozen=True)
class Reach:
    """The systems and the projects whose memories may be seen; None: all.

    `sight`: and of those only what an agent or a user may see. `seen`: that, as it was at one
    moment; a read is of one moment, so it begins with `fixed`.
    """

    systems: frozenset[str] | None = None
    projects: frozenset[str] | None = None
    sight: Sight | None = None
    seen: Seen | None = None

    @property
    def is_everything(self) -> bool:
        return self.holds_whole_systems and self.systems is None

    @property
    def holds_whole_systems(self) -> bool:
        """Whether all of a system that it holds may be seen, so that it may be counted."""
        return self.projects is None and self.sight is None and self.seen is None

    def fixed(self) -> Reach:
        """As it is at this moment."""
        return self if self.sight is None else replace(self, seen=self.sight.now())

    def note(self, told: Sequence[Told]) -> None:
        """These were shown to whoever asked."""
        if self.sight is not None:
            self.sight.note(told)

    def shows(self, row_id: int, of: Fields) -> bool:
        """Whether a memory with these fields may be seen. Of one that is `fixed`."""
        if not self.holds(of.system_id, of.project):
            return False
        seen = self._seen
        return seen is None or seen.passes(row_id, of.agent_id, of.user_id, of.tags)

    @property
    def _seen(self) -> Seen | None:
        """Also of one that is not fixed: nothing is shown by mistake."""
        return self.sight.now() if self.seen is None and self.sight is not None else self.seen

    def holds(self, system_id: str, project: str | None) -> bool:
        """Whether memories of this system and project may be seen, whose they are aside."""
        return self.holds_system(system_id) and (self.projects is None or project in self.projects)

    def holds_system(self, system_id: str) -> bool:
        return self.systems is None or system_id in self.systems

    def narrowed(self, filters: Filters) -> Filters | None:
        """The filters within this; None where nothing can pass both."""
        systems = _within(filters.systems, self.systems)
        projects = _within(filters.projects, self.projects)
        if systems is None or projects is None:
            return None
        return replace(filters, systems=systems, projects=projects, seen=self._seen)


EVERYTHING = Reach()


def _within(asked: tuple[str, ...], allowed: frozenset[str] | None) -> tuple[str, ...] | None:
    if allowed is None:
        return asked
    if not asked:
        return tuple(sorted(allowed)) or (_NONE,)
    return tuple(value for value in asked if value in allowed) or None
