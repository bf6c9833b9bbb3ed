"""The agents of a hub, as its settings name them."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Final, Literal, Protocol

from pydantic import BaseModel, ConfigDict, Field, field_validator

Strategy = Literal[
    "latest_wins", "highest_importance", "agent_priority", "manual_review", "merge_content"
]
STRATEGIES: Final[tuple[Strategy, ...]] = (
    *("latest_wins", "highest_importance", "agent_priority", "manual_review", "merge_content"),
)
Priority = Literal["low", "medium", "high"]
PRIORITIES: Final[Mapping[Priority, int]] = {"low": 1, "medium": 2, "high": 3}

# A memory's category and its type are tags of it: those stay in the row when it turns cold.
CATEGORY_TAG: Final = "category:"
TYPE_TAG: Final = "type:"

# Whoever is not named in the settings.
UNNAMED_PRIORITY: Final = 0

# What every agent of a user sees, whoever wrote it.
GLOBAL_CATEGORIES: Final = (
    *("user_preferences", "system_knowledge", "security_alerts", "behavioral_patterns"),
)


class AgentSetting(BaseModel):
    """One agent. `retention_days` None: its memories stay; `conflict_strategy` None: the hub's."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    name: str = Field(min_length=1, max_length=200)
    priority: Priority = "medium"
    retention_days: float | None = Field(None, gt=0, allow_inf_nan=False)
    conflict_strategy: Strategy | None = None
    specialities: tuple[str, ...] = ()
    restricted_categories: tuple[str, ...] = ()

    @field_validator("name")
    @classmethod
    def _clean(cls, value: str) -> str:
        if value != value.strip() or not value.isprintable():
            raise ValueError("a name of an agent has no white space at its ends and is printable")
        return value


class Agents:
    """The agents by name, and which strategy resolves what."""

    def __init__(
        self,
        agents: Iterable[AgentSetting] = (),
        *,
        category_strategies: Mapping[str, Strategy] | None = None,
        strategy: Strategy = "latest_wins",
        global_categories: Sequence[str] = GLOBAL_CATEGORIES,
        system_edits: Mapping[str, Sequence[str]] | None = None,
    ) -> None:
        self.by_name: Mapping[str, AgentSetting] = {agent.name: agent for agent in agents}
        self.global_categories = frozenset(global_categories)
        self._category_strategies = dict(category_strategies or {})
        self._strategy = strategy
        self._system_edits = dict(system_edits or {})

    def priority(self, agent_id: str | None) -> int:
        """Higher wins."""
        agent = self.by_name.get(agent_id or "")
        return UNNAMED_PRIORITY if agent is None else PRIORITIES[agent.priority]

    def restricted(self, agent_id: str | None) -> frozenset[str]:
        """The categories that the agent may not see, over everything."""
        agent = self.by_name.get(agent_id or "")
        return frozenset() if agent is None else frozenset(agent.restricted_categories)

    def may_edit(self, editor: str, system_id: str) -> bool:
        """Whether a system's snapshots may edit all of another's memories."""
        return system_id in self._system_edits.get(editor, ())

    def strategy(self, categories: Iterable[str], agent_id: str | None) -> Strategy:
        """How a conflict is resolved that nobody says more about: category > agent > the hub's.

        Of several categories the first by name that has one counts; `agent_id` is the agent that
        the memory belongs to.
        """
        for category in sorted(categories):
            if category in self._category_strategies:
                return self._category_strategies[category]
        agent = self.by_name.get(agent_id or "")
        if agent is not None and agent.conflict_strategy is not None:
            return agent.conflict_strategy
        return self._strategy


# A hub whose settings name none.
NO_AGENTS: Final = Agents()


class Tagged(Protocol):
    """What has tags, and categories among them."""

    @property
    def tags(self) -> Sequence[str]: ...


def may_read(said: Tagged | None, restricted: Collection[str]) -> bool:
    """Whether nothing that is said is of a restricted category; None: nothing is said."""
    return said is None or categories_of(said.tags).isdisjoint(restricted)


def categories_of(tags: Iterable[str]) -> frozenset[str]:
    """The categories among a memory's tags."""
    return frozenset(
        tag.removeprefix(CATEGORY_TAG)
        for tag in tags
        if tag.startswith(CATEGORY_TAG) and tag != CATEGORY_TAG
    )


def type_of(tags: Iterable[str]) -> str | None:
    """The memory type among a memory's tags, the first by name."""
    types = sorted(tag.removeprefix(TYPE_TAG) for tag in tags if tag.startswith(TYPE_TAG))
    return types[0] if types else None


def plain_tags(tags: Iterable[str]) -> tuple[str, ...]:
    """A memory's tags without its categories and types."""
    return tuple(tag for tag in tags if not tag.startswith((CATEGORY_TAG, TYPE_TAG)))
