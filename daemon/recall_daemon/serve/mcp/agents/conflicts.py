"""The agents' tools for conflicts: the queue, both sides of one, deciding it and undoing that."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from recall_daemon.agents.actor import Actor
from recall_daemon.agents.config import Strategy
from recall_daemon.agents.decisions import Decision
from recall_daemon.agents.review import LIMIT_MAX
from recall_daemon.agents.review_pages import LIMIT, conflict_page
from recall_daemon.agents.review_pages import Asked as Wanted
from recall_daemon.agents.shared import Shared
from recall_daemon.operations import Json
from recall_daemon.serve.mcp.agents import shapes, words
from recall_daemon.serve.mcp.agents.asked import UPSERTS, Asked, Changing, Fence, changing, reading
from recall_daemon.serve.mcp.tool import Tool
from recall_daemon.store.answers import Key

CONTENT_MAX_CHARS = 1 << 20
_Id = Annotated[str, Field(min_length=1, max_length=200, description="list_conflicts names it.")]


class ListConflicts(Asked):
    state: Wanted = "open"
    limit: Annotated[int, Field(ge=1, le=LIMIT_MAX)] = LIMIT
    cursor: Annotated[
        str | None, Field(max_length=400, description="next_cursor of the page before.")
    ] = None


class OneConflict(Asked):
    conflict_id: _Id


class Resolve(Changing):
    conflict_id: _Id
    strategy: Strategy | None = None
    choose: Literal["ours", "theirs"] | None = None
    content: Annotated[
        str | None,
        Field(min_length=1, max_length=CONTENT_MAX_CHARS, description="A text of your own."),
    ] = None
    fence: Fence = None


class Undo(Changing):
    conflict_id: _Id
    fence: Fence = None


class ConflictTools:
    """Blocking: each tool runs in a worker thread."""

    def __init__(self, shared: Shared) -> None:
        self._review = shared.review

    def tools(self) -> list[Tool]:
        return [
            reading(
                "list_conflicts", ListConflicts, shapes.Conflicts, self.listed, words.conflicts
            ),
            reading("get_conflict", OneConflict, shapes.BothSides, self.one, words.both_sides),
            changing(
                "resolve_conflict",
                Resolve,
                shapes.Resolved,
                self.resolve,
                words.resolved,
                hints=UPSERTS,
            ),
            changing(
                "undo_resolution", Undo, shapes.Resolved, self.undo, words.resolved, hints=UPSERTS
            ),
        ]

    def listed(self, actor: Actor, asked: ListConflicts) -> Json:
        """Conflicts between versions of memories that you may see, the oldest first."""
        return conflict_page(self._review, actor, asked.state, asked.limit, asked.cursor)

    def one(self, actor: Actor, asked: OneConflict) -> Json:
        """Both sides of a conflict, what they were made of, and a diff of their texts."""
        return self._review.conflict(actor, asked.conflict_id)

    def resolve(self, actor: Actor, asked: Resolve, key: Key | None) -> Json:
        """Decide a conflict in one way: choose a side, give a content of your own, or name a
        strategy. The side that loses stays in the history; undo_resolution opens it again."""
        decision = Decision(asked.strategy, asked.choose, asked.content)
        return self._review.resolve(actor, asked.conflict_id, decision, fence=asked.fence, key=key)

    def undo(self, actor: Actor, asked: Undo, key: Key | None) -> Json:
        """Have a resolved conflict open again."""
        return self._review.undo(actor, asked.conflict_id, fence=asked.fence, key=key)
