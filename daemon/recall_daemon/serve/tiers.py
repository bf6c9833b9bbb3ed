"""The routes for the tiers; running ageing now is the job `age`, in `serve.jobs`."""

from __future__ import annotations

from fastapi import FastAPI
from fastapi.responses import JSONResponse

from recall_daemon.operations import Operations
from recall_daemon.serve.who import Admin


def install(app: FastAPI, hub: Operations) -> None:
    """Add the routes, all of which only read."""

    @app.get("/v1/tiers")
    def tiers(caller: Admin) -> JSONResponse:
        """Rows, bytes and ages of each tier, the cold files, and the last run. Reads every text."""
        return JSONResponse(hub.seen_by(caller).tiers())

    @app.get("/v1/tiers/due")
    def due(caller: Admin) -> JSONResponse:
        """How many rows the job `age` would move now."""
        return JSONResponse(hub.seen_by(caller).tiers_due())
