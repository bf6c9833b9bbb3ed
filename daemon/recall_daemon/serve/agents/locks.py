"""The routes for locks on memories."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Coroutine
from typing import Annotated, Any, Final

from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field

from recall_daemon.agents.locks import (
    LEASE_MAX_S,
    LEASE_S,
    REASON_MAX_CHARS,
    WAIT_MAX_S,
    WAIT_S,
    Locks,
)
from recall_daemon.operations import Json
from recall_daemon.serve.agents.actor import ActorOf
from recall_daemon.serve.agents.keyed import KeyOf
from recall_daemon.serve.who import Admin

_GONE: Final = 499

Seconds = Annotated[float, Field(strict=True)]
Lease = Annotated[Seconds, Field(gt=0, le=LEASE_MAX_S)]
Fence = Annotated[int, Field(strict=True, ge=1, lt=1 << 63)]


class _Body(BaseModel):
    """`memory_id` is `MEMORY_ID` or `SYSTEM/MEMORY_ID`."""

    model_config = ConfigDict(extra="forbid")

    memory_id: Annotated[str, Field(min_length=1)]


class Wanted(_Body):
    """A lock to be had for `lease_s`, and waited for at most `wait_s`."""

    lease_s: Lease = LEASE_S
    wait_s: Annotated[Seconds, Field(ge=0, le=WAIT_MAX_S)] = WAIT_S


class Released(_Body):
    """A lock by the fence that it came with."""

    fence: Fence


class Renewed(Released):
    """The lease lasts `lease_s` from now on."""

    lease_s: Lease = LEASE_S


class Forced(_Body):
    """`reason` is for the audit log."""

    reason: Annotated[str, Field(min_length=1, max_length=REASON_MAX_CHARS)]


def install(app: FastAPI, locks: Locks) -> None:
    """Add the routes to an app whose errors are answered as problems, with `mount.STATUSES`."""
    _acquire(app, locks)
    _own(app, locks)
    _all(app, locks)


def _acquire(app: FastAPI, locks: Locks) -> None:
    # Not in a worker thread: it waits for minutes, and a few dozen would keep everybody else out.
    @app.post("/v1/locks")
    async def acquire(request: Request, actor: ActorOf, key: KeyOf, body: Wanted) -> Response:
        """→ `{lock: {system_id, memory_id, fence, depth, expires_at}}`, first come first served.

        Waits up to `wait_s`, then 423. Whoever goes away leaves the line. One agent of one user in
        one session is one holder, and may have it several times over.
        """
        wanted = locks.acquire(
            actor, body.memory_id, lease_s=body.lease_s, wait_s=body.wait_s, key=key
        )
        return await _unless_gone(request, wanted)


def _own(app: FastAPI, locks: Locks) -> None:
    @app.post("/v1/locks/renew")
    def renew(actor: ActorOf, key: KeyOf, body: Renewed) -> JSONResponse:
        """→ `{lock}`: it lasts `lease_s` from now on, never shorter than it did."""
        return JSONResponse(
            locks.renew(actor, body.memory_id, body.fence, lease_s=body.lease_s, key=key)
        )

    @app.post("/v1/locks/release")
    def release(actor: ActorOf, key: KeyOf, body: Released) -> JSONResponse:
        """→ `{lock}`, of depth 0 once it is free: it is released as often as it was acquired."""
        return JSONResponse(locks.release(actor, body.memory_id, body.fence, key=key))


def _all(app: FastAPI, locks: Locks) -> None:
    @app.get("/v1/locks")
    def listed(actor: ActorOf) -> JSONResponse:
        """→ `{locks, waiting}`, of the memories that the actor sees."""
        return JSONResponse(locks.listed(actor))

    @app.post("/v1/locks/force-release")
    def force_release(caller: Admin, key: KeyOf, body: Forced) -> JSONResponse:
        """→ `{released}`: its fence is good for nothing from now on. The audit log says why."""
        return JSONResponse(locks.force_release(caller, body.memory_id, body.reason, key=key))


async def _unless_gone(request: Request, work: Coroutine[Any, Any, Json]) -> Response:
    """What `work` answers; it is cancelled when whoever asked has gone, and nobody is told."""
    working = asyncio.ensure_future(work)
    leaving = asyncio.ensure_future(_disconnected(request))
    try:
        await asyncio.wait({working, leaving}, return_when=asyncio.FIRST_COMPLETED)
        return JSONResponse(working.result()) if working.done() else Response(status_code=_GONE)
    finally:
        for task in (working, leaving):
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError, Exception):
                await task


async def _disconnected(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
