"""What the tools for relationships, groups and sessions answer."""

from __future__ import annotations

from pydantic import BaseModel

from recall_daemon.serve.mcp.agents.shapes import AgentMemory


class RelationshipId(BaseModel):
    relationship_id: int


class Relationship(BaseModel):
    relationship_id: int
    type: str
    strength: float
    direction: str
    created_at: str


class RelatedMemory(BaseModel):
    relationship: Relationship
    memory: AgentMemory


class RelatedMemories(BaseModel):
    related_memories: list[RelatedMemory]
    count: int


class SessionId(BaseModel):
    session_id: str


class GroupId(BaseModel):
    group_id: int


class ContextGroup(BaseModel):
    group_id: int
    name: str
    description: str | None
    agent_id: str | None
    created_at: str


class Groups(BaseModel):
    groups: list[ContextGroup]
    next_before: int | None


class AddedToGroup(BaseModel):
    added: int
