"""The routes for tokens and the audit log, and the one that says who asks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Final

from fastapi import Body, FastAPI, Query
from fastapi.responses import JSONResponse

from recall_daemon.errors import Forbidden, TokenInvalid, TokenUnknown, Unauthorized
from recall_daemon.operations import Json, Operations
from recall_daemon.serve.who import Admin, Who
from recall_wire.errors import RecallError

STATUSES: Final[Mapping[type[RecallError], int]] = {
    Unauthorized: 401,
    Forbidden: 403,
    TokenInvalid: 422,
    TokenUnknown: 404,
}

Limit = Annotated[int, Query(ge=1, le=1_000)]
Before = Annotated[int | None, Query(ge=1, lt=1 << 63)]
# Nothing that holds a token, or says who may do what, belongs into a cache.
_UNKEPT: Final = {"cache-control": "no-store"}


def install(app: FastAPI, hub: Operations) -> None:
    """Add the routes to an app whose errors are answered as problems, with `STATUSES`."""
    _me(app, hub)
    _tokens(app, hub)
    _audit(app, hub)


def _me(app: FastAPI, hub: Operations) -> None:
    @app.get("/v1/me")
    async def me(caller: Who) -> JSONResponse:
        """`{name, role, system, systems, projects, agent, user}`: who asks; null means all."""
        return JSONResponse(hub.seen_by(caller).me(), headers=_UNKEPT)


def _tokens(app: FastAPI, hub: Operations) -> None:
    @app.get("/v1/tokens")
    def listed(caller: Admin) -> JSONResponse:
        """Every token there ever was, oldest first, without its secret."""
        return JSONResponse(hub.seen_by(caller).tokens(), headers=_UNKEPT)

    @app.post("/v1/tokens", status_code=201)
    def create(caller: Admin, body: Annotated[Json, Body()]) -> JSONResponse:
        """`{role, name?, system?, systems?, projects?, agent?, user?, expires_in_s?}` → the token,
        this once.

        From the first one on every request needs a token.
        """
        made = hub.seen_by(caller).token_create(body)
        return JSONResponse(made, status_code=201, headers=_UNKEPT)

    @app.post("/v1/tokens/{token_id}/revoke")
    def revoke(caller: Admin, token_id: str) -> JSONResponse:
        """From now on it opens nothing. May be repeated."""
        return JSONResponse(hub.seen_by(caller).token_revoke(token_id), headers=_UNKEPT)


def _audit(app: FastAPI, hub: Operations) -> None:
    @app.get("/v1/audit")
    def listed(
        caller: Admin, limit: Limit = 100, before: Before = None, action: str | None = None
    ) -> JSONResponse:
        """Who did what, newest first; `next_before` is where the next page starts."""
        return JSONResponse(hub.seen_by(caller).audit(limit, before, action))

    @app.get("/v1/audit/verify")
    def verify(caller: Admin) -> JSONResponse:
        """Whether each entry follows from the one before. Reads all of them."""
        return JSONResponse(hub.seen_by(caller).audit_verify())
