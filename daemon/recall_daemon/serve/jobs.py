"""The routes for background work: what there is, how far it is, and running it now."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from fastapi import FastAPI
from fastapi.responses import JSONResponse

from recall_daemon import rebuild as rebuild_job
from recall_daemon.access.caller import Caller
from recall_daemon.errors import JobRunning, JobUnknown
from recall_daemon.jobs import Jobs
from recall_daemon.serve.who import Admin
from recall_wire.errors import RecallError

STATUSES: Final[Mapping[type[RecallError], int]] = {JobUnknown: 404, JobRunning: 409}


def install(app: FastAPI, jobs: Jobs) -> None:
    """Add the routes to an app whose errors are answered as problems, with `STATUSES`."""
    _read(app, jobs)
    _write(app, jobs)


def _read(app: FastAPI, jobs: Jobs) -> None:
    @app.get("/v1/jobs")
    def listed(_: Admin) -> JSONResponse:
        """Each kind with its newest run."""
        return JSONResponse(jobs.listed())


def _write(app: FastAPI, jobs: Jobs) -> None:
    @app.post("/v1/jobs/{kind}/run", status_code=202)
    async def run(caller: Admin, kind: str) -> JSONResponse:
        """Begin a job now; `GET /v1/jobs` says how far it is."""
        return await _begun(jobs, kind, caller)

    @app.post("/v1/rebuild", status_code=202)
    async def rebuild(caller: Admin) -> JSONResponse:
        """Begin to make the index anew from the store: the job `rebuild`."""
        return await _begun(jobs, rebuild_job.KIND, caller)


async def _begun(jobs: Jobs, kind: str, caller: Caller) -> JSONResponse:
    begun = await jobs.start(kind, actor=caller.name)
    return JSONResponse({"job_id": begun.job_id, "kind": begun.kind}, status_code=202)
