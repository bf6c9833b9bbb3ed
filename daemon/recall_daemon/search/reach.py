"""How far a search may reach: what of the hub whoever asks may see."""

from __future__ import annotations

from dataclasses import dataclass, replace

from recall_daemon.index.filters import Filters

# A value that no system and no project has: an empty tuple of allowed ones would allow all.
_NONE = "\0"


@dataclass(frozen=True)
class Reach:
    """The systems and the projects whose memories may be seen; None: all."""

    systems: frozenset[str] | None = None
    projects: frozenset[str] | None = None

    @property
    def is_everything(self) -> bool:
        return self.systems is None and self.projects is None

    def holds(self, system_id: str, project: str | None) -> bool:
        """Whether a memory of this system and project may be seen."""
        return self.holds_system(system_id) and (self.projects is None or project in self.projects)

    def holds_system(self, system_id: str) -> bool:
        return self.systems is None or system_id in self.systems

    def narrowed(self, filters: Filters) -> Filters | None:
        """The filters within this; None where nothing can pass both."""
        systems = _within(filters.systems, self.systems)
        projects = _within(filters.projects, self.projects)
        if systems is None or projects is None:
            return None
        return replace(filters, systems=systems, projects=projects)


EVERYTHING = Reach()


def _within(asked: tuple[str, ...], allowed: frozenset[str] | None) -> tuple[str, ...] | None:
    if allowed is None:
        return asked
    if not asked:
        return tuple(sorted(allowed)) or (_NONE,)
    return tuple(value for value in asked if value in allowed) or None
