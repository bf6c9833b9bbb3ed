"""What a write that is sent again is known by: `KeyOf`."""

from __future__ import annotations

import hashlib
from typing import Annotated

from fastapi import Depends
from starlette.requests import Request

from recall_daemon.serve.agents.actor import ActorOf
from recall_daemon.serve.memories import IdempotencyKey
from recall_daemon.store.answers import Key


async def key_of(
    request: Request, actor: ActorOf, idempotency_key: IdempotencyKey = None
) -> Key | None:
    """Of the whole request: what is asked of which path for whom, byte for byte."""
    if idempotency_key is None:
        return None
    said = [request.method, request.url.path, request.url.query, actor.holder]
    body = await request.body()
    digest = hashlib.sha256("\n".join(said).encode() + b"\n" + body)
    return Key(actor.caller.name, idempotency_key, digest.hexdigest())


KeyOf = Annotated[Key | None, Depends(key_of)]
