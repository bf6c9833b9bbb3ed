"""The routes for backups and expiry; making one is the job `backup`, in `serve.jobs`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from fastapi import FastAPI
from fastapi.responses import JSONResponse

from recall_daemon.backup.archive import Archive
from recall_daemon.errors import BackupRunning, HubClash
from recall_daemon.serve.who import Admin
from recall_wire.errors import RecallError

STATUSES: Final[Mapping[type[RecallError], int]] = {HubClash: 409, BackupRunning: 409}


def install(app: FastAPI, archive: Archive) -> None:
    """Add the routes, all of which only read, to an app that answers errors as problems."""

    @app.get("/v1/backups")
    def backups(_: Admin) -> JSONResponse:
        """The whole backups in the bucket, newest first."""
        return JSONResponse(archive.backups.listed())

    @app.get("/v1/expiry")
    def expiry(_: Admin) -> JSONResponse:
        """The snapshots that the job `expire` would delete now."""
        return JSONResponse(archive.expiry.plan())
