"""The routes for the tiers; running ageing now is the job `age`, in `serve.jobs`."""

from __future__ import annotations

from fastapi import FastAPI
from fastapi.responses import JSONResponse

from recall_daemon.operations import HubApi


def install(app: FastAPI, hub: HubApi) -> None:
    """Add the routes, all of which only read."""

    @app.get("/v1/tiers")
    def tiers() -> JSONResponse:
        """Rows, bytes and ages of each tier, the cold files, and the last run. Reads every text."""
        return JSONResponse(hub.tiers())

    @app.get("/v1/tiers/due")
    def due() -> JSONResponse:
        """How many rows the job `age` would move now."""
        return JSONResponse(hub.tiers_due())
