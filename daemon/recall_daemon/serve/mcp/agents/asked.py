"""For whom a tool is called, what a call that is sent again is known by, and the tool itself."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Awaitable, Callable
from typing import Annotated, Any, Protocol

from pydantic import BaseModel, Field

from recall_daemon.access.caller import Caller
from recall_daemon.agents.actor import Actor, actor_for
from recall_daemon.operations import Json
from recall_daemon.serve.mcp.tool import Answer, Arguments, Hints, Tool, in_thread
from recall_daemon.store.answers import Key

MEMORY_NAME_MAX_CHARS = 1_000

MemoryName = Annotated[
    str,
    Field(
        min_length=1,
        max_length=MEMORY_NAME_MAX_CHARS,
        description="MEMORY_ID, or SYSTEM/MEMORY_ID where several systems have that id.",
    ),
]
Number = Annotated[int, Field(strict=True, ge=0, lt=1 << 63)]
Fence = Annotated[
    int | None,
    Field(ge=0, lt=1 << 63, description="Of your lock on the memory, while you hold one."),
]

WRITES = Hints()
UPSERTS = Hints(idempotent=True)


class Asked(Arguments):
    """Whoever the token is bound to may be left out; another is refused."""

    agent_id: Annotated[str | None, Field(description="The agent you speak for.")] = None
    user_id: Annotated[str | None, Field(description="The user you speak for.")] = None
    session_id: Annotated[str | None, Field(description="Your session.")] = None

    def actor(self, caller: Caller) -> Actor:
        """Raises `AgentInvalid`, `Forbidden`."""
        return actor_for(caller, self.agent_id, self.user_id, self.session_id)

    def given(self, *names: str) -> Json:
        """Those arguments that were given; null is as not given."""
        return self.model_dump(include=set(names), exclude_unset=True, exclude_none=True)


class Changing(Asked):
    """A call that changes something."""

    idempotency_key: Annotated[
        str | None,
        Field(
            min_length=1,
            max_length=255,
            pattern=r"^[\x21-\x7e]+$",
            description="A call sent again with its key is done once, and answered alike.",
        ),
    ] = None

    def key(self, tool: str, actor: Actor) -> Key | None:
        if self.idempotency_key is None:
            return None
        said = [tool, actor.holder, self.model_dump(exclude={"idempotency_key"})]
        digest = hashlib.sha256(json.dumps(said, sort_keys=True, default=str).encode())
        return Key(actor.caller.name, self.idempotency_key, digest.hexdigest())


class Read(Protocol):
    """What a tool that reads does, in a thread. Its docstring is what a model reads about it."""

    def __call__(self, actor: Actor, asked: Any, /) -> Json: ...


class Change(Protocol):
    """What a tool that changes something does, in a thread; as `Read`."""

    def __call__(self, actor: Actor, asked: Any, key: Key | None, /) -> Json: ...


Say = Callable[[Any], str]


def reading(
    name: str, arguments: type[Asked], result: type[BaseModel], act: Read, say: Say
) -> Tool:
    """A tool that reads: `say` puts its result into words."""

    def run(caller: Caller, asked: Any) -> Answer:
        return answer(result, act(asked.actor(caller), asked), say)

    run.__doc__ = act.__doc__
    hints = Hints(read_only=True, idempotent=True)
    return Tool(name, _title(name), arguments, result, hints, in_thread(run))


def changing(
    name: str,
    arguments: type[Changing],
    result: type[BaseModel],
    act: Change,
    say: Say,
    *,
    hints: Hints = WRITES,
) -> Tool:
    """A tool that changes something: as `reading`."""

    def run(caller: Caller, asked: Any) -> Answer:
        actor = asked.actor(caller)
        return answer(result, act(actor, asked, asked.key(name, actor)), say)

    run.__doc__ = act.__doc__
    return Tool(name, _title(name), arguments, result, hints, in_thread(run))


def waiting(
    name: str,
    arguments: type[Changing],
    result: type[BaseModel],
    act: Callable[[Actor, Any, Key | None], Awaitable[Json]],
    say: Say,
) -> Tool:
    """A tool that may wait for long, on the event loop."""

    async def run(caller: Caller, asked: Any) -> Answer:
        actor = asked.actor(caller)
        return answer(result, await act(actor, asked, asked.key(name, actor)), say)

    run.__doc__ = act.__doc__
    return Tool(name, _title(name), arguments, result, WRITES, run)


def answer(result: type[BaseModel], told: Json, say: Say) -> Answer:
    shaped = result.model_validate(told)
    return Answer(shaped, say(shaped))


def _title(name: str) -> str:
    """add_memory → Add memory."""
    return name.replace("_", " ").capitalize()
