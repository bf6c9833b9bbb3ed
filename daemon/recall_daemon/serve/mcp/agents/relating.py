"""The agents' tools for relationships, groups and sessions."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from recall_daemon.agents.actor import Actor
from recall_daemon.agents.groups import DESCRIPTION_MAX_CHARS, LIMIT, NAME_MAX_CHARS
from recall_daemon.agents.incoming import BATCH_MAX, LABEL_MAX_CHARS
from recall_daemon.agents.relations import STRENGTH
from recall_daemon.agents.relations import Asked as Direction
from recall_daemon.agents.shared import Shared
from recall_daemon.operations import Json
from recall_daemon.serve.mcp.agents import relating_shapes, shapes, words
from recall_daemon.serve.mcp.agents.asked import (
    UPSERTS,
    Asked,
    Changing,
    Fence,
    MemoryName,
    Number,
    changing,
    reading,
)
from recall_daemon.serve.mcp.agents.memories import Limit
from recall_daemon.serve.mcp.tool import Tool
from recall_daemon.store.answers import Key

_Type = Annotated[
    str,
    Field(min_length=1, max_length=LABEL_MAX_CHARS, description="Such as related_to, follows."),
]
_Ids = Annotated[tuple[MemoryName, ...], Field(max_length=BATCH_MAX)]


class AddRelationship(Changing):
    from_id: MemoryName
    to_id: MemoryName
    type: _Type
    strength: Annotated[float, Field(ge=0, le=1)] = STRENGTH
    fence: Annotated[
        int | None, Field(ge=0, lt=1 << 63, description="Of your lock on from_id, if any.")
    ] = None


class RemoveRelationship(Changing):
    relationship_id: Number
    fence: Fence = None


class Related(Asked):
    memory_id: MemoryName
    type: _Type | None = None
    direction: Direction = "both"
    limit: Limit = LIMIT


class CreateGroup(Changing):
    name: Annotated[str, Field(min_length=1, max_length=NAME_MAX_CHARS)]
    description: Annotated[str | None, Field(max_length=DESCRIPTION_MAX_CHARS)] = None
    memory_ids: _Ids = ()


class AddToGroup(Changing):
    group_id: Number
    memory_ids: _Ids


class Group(Asked):
    group_id: Number
    limit: Limit = LIMIT


class ListGroups(Asked):
    memory_id: MemoryName | None = None
    limit: Limit = LIMIT
    before: Annotated[
        int | None, Field(ge=1, lt=1 << 63, description="next_before of the page before.")
    ] = None


class CreateSession(Changing):
    session_id: Annotated[
        str | None, Field(description="A name of your own; a new one without it.")
    ] = None
    metadata: Annotated[dict[str, Any], Field(default_factory=dict)]


class RelatingTools:
    """Blocking: each tool runs in a worker thread."""

    def __init__(self, shared: Shared) -> None:
        self._relations = shared.relations
        self._groups = shared.groups
        self._sessions = shared.sessions

    def tools(self) -> list[Tool]:
        return [
            changing(
                "add_relationship",
                AddRelationship,
                relating_shapes.RelationshipId,
                self.relate,
                words.related_now,
                hints=UPSERTS,
            ),
            changing(
                "remove_relationship",
                RemoveRelationship,
                relating_shapes.RelationshipId,
                self.unrelate,
                words.unrelated,
                hints=UPSERTS,
            ),
            reading(
                "get_related_memories",
                Related,
                relating_shapes.RelatedMemories,
                self.related,
                words.related_memories,
            ),
            changing(
                "create_context_group",
                CreateGroup,
                relating_shapes.GroupId,
                self.create,
                words.group,
            ),
            changing(
                "add_to_group",
                AddToGroup,
                relating_shapes.AddedToGroup,
                self.add,
                words.grouped,
                hints=UPSERTS,
            ),
            reading(
                "list_context_groups", ListGroups, relating_shapes.Groups, self.listed, words.groups
            ),
            reading("get_memories_by_group", Group, shapes.Results, self.members, words.results),
            changing(
                "create_session",
                CreateSession,
                relating_shapes.SessionId,
                self.session,
                words.session,
            ),
        ]

    def relate(self, actor: Actor, asked: AddRelationship, key: Key | None) -> Json:
        """Relate a memory of yours to another; the same again updates the strength."""
        body = asked.given(*AddRelationship.model_fields.keys() - Changing.model_fields.keys())
        return self._relations.add(actor, body, key=key)

    def unrelate(self, actor: Actor, asked: RemoveRelationship, key: Key | None) -> Json:
        """Take a relationship away."""
        return self._relations.remove(actor, asked.relationship_id, fence=asked.fence, key=key)

    def related(self, actor: Actor, asked: Related) -> Json:
        """The memories that are related to one, the strongest relationship first."""
        return self._relations.related(
            actor,
            asked.memory_id,
            type_=asked.type,
            direction=asked.direction,
            limit=asked.limit,
        )

    def create(self, actor: Actor, asked: CreateGroup, key: Key | None) -> Json:
        """Make a group of memories; the answer has its number."""
        body = asked.given("name", "description", "memory_ids")
        return self._groups.create(actor, body, key=key)

    def add(self, actor: Actor, asked: AddToGroup, key: Key | None) -> Json:
        """Add memories to a group: all of them, or none."""
        return self._groups.add(actor, asked.group_id, asked.memory_ids, key=key)

    def listed(self, actor: Actor, asked: ListGroups) -> Json:
        """Your groups, or those that a memory is in, newest first."""
        return self._groups.list(actor, asked.memory_id, limit=asked.limit, before=asked.before)

    def members(self, actor: Actor, asked: Group) -> Json:
        """The memories of a group that you may see, in the order in which they were added."""
        return self._groups.memories(actor, asked.group_id, limit=asked.limit)

    def session(self, actor: Actor, asked: CreateSession, key: Key | None) -> Json:
        """Begin a session; send its id as session_id with the calls that belong to it."""
        return self._sessions.create(actor, asked.given("session_id", "metadata"), key=key)
