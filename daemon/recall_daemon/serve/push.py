"""The routes for snapshots that are pushed. What travels is in docs/contract.md."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Mapping
from typing import Annotated, Final

from fastapi import Body, Depends, FastAPI, Header, Path, Request
from fastapi.responses import Response
from pydantic import BaseModel, ConfigDict, Field
from starlette.requests import ClientDisconnect

from recall_daemon.errors import (
    BatchCorrupt,
    BatchesMissing,
    DiskFull,
    PushBusy,
    PushHeld,
    PushNotOpen,
    SeqRefused,
    SnapshotClash,
    SnapshotQuarantined,
)
from recall_daemon.ingest.pushed import BATCH_MAX_BYTES, Pushes
from recall_daemon.ingest.staging import Batch
from recall_daemon.operations import Json
from recall_daemon.serve.guard import Allowance
from recall_daemon.serve.problem import MEDIA_TYPE, problem, problem_bytes, request_id
from recall_daemon.serve.who import Who
from recall_daemon.store.ledger import Place
from recall_wire import layout
from recall_wire.errors import ManifestInvalid, RecallError, SnapshotInvalid, UnsafeKey
from recall_wire.manifest import Sha256

PARQUET: Final = "application/vnd.apache.parquet"
BATCH_MAX_ROWS: Final = 1_000
BATCHES_MAX: Final = 10_000

BATCHES: Final = Allowance(
    "PUT",
    re.compile(r"/v1/push/[^/]+/[0-9]+/batches/[0-9]+"),
    frozenset({PARQUET}),
    BATCH_MAX_BYTES,
)

STATUSES: Final[Mapping[type[RecallError], int]] = {
    UnsafeKey: 422,
    ManifestInvalid: 422,
    SnapshotInvalid: 422,
    SeqRefused: 422,
    SnapshotQuarantined: 422,
    BatchCorrupt: 422,
    SnapshotClash: 409,
    PushHeld: 409,
    PushNotOpen: 409,
    PushBusy: 503,
    DiskFull: 507,
}

Seq = Annotated[int, Path(ge=1, le=layout.SEQ_MAX)]
Number = Annotated[int, Path(ge=1, le=BATCHES_MAX)]


async def may_write(caller: Who, system_id: str) -> str:
    """The system that is pushed, which the caller may write. Raises `UnsafeKey`, `Forbidden`."""
    caller.check_write(layout.check_system_id(system_id))
    caller.check_whole()
    return system_id


System = Annotated[str, Depends(may_write)]


class BatchHeaders(BaseModel):
    """What travels beside a batch's bytes."""

    x_content_sha256: Sha256
    x_manifest_sha256: Sha256
    x_rows: Annotated[int, Field(ge=1, le=BATCH_MAX_ROWS)]


class Commit(BaseModel):
    """What a push is complete with: the digests of its batches, in their order."""

    model_config = ConfigDict(extra="forbid")

    manifest_sha256: Sha256
    batches: Annotated[list[Sha256], Field(max_length=BATCHES_MAX)]


def install(app: FastAPI, pushes: Pushes) -> None:
    """Add the routes to an app whose errors are answered as problems, with `STATUSES`."""
    app.add_exception_handler(ClientDisconnect, _cut_off)
    app.add_exception_handler(BatchesMissing, _missing)
    _standing(app, pushes)
    _open(app, pushes)
    _stage(app, pushes)
    _commit(app, pushes)


def _standing(app: FastAPI, pushes: Pushes) -> None:
    @app.get("/v1/push/{system_id}")
    def standing(system: System) -> Json:
        """What the hub has of a system, whichever way it came."""
        found = pushes.standing(system)
        return {
            "system_id": system,
            "highest_seq": found.highest_seq,
            "manifest_sha256": found.manifest_sha256,
            "machine": found.machine,
            "instance_id": found.instance_id,
            **found.ack.model_dump(mode="json"),
        }


def _open(app: FastAPI, pushes: Pushes) -> None:
    @app.put("/v1/push/{system_id}/{seq}")
    async def open_push(system: System, seq: Seq, request: Request) -> Json:
        """Begin or resume a push; the body is the manifest, byte for byte."""
        opened = await pushes.open(Place(system, seq), await request.body())
        have = [{"number": b.number, "rows": b.rows, "sha256": b.sha256} for b in opened.have]
        return {"state": opened.state, "have": have}


def _stage(app: FastAPI, pushes: Pushes) -> None:
    @app.put("/v1/push/{system_id}/{seq}/batches/{number}")
    async def stage(
        system: System,
        seq: Seq,
        number: Number,
        told: Annotated[BatchHeaders, Header()],
        request: Request,
    ) -> Json:
        """Stage one batch; it is on the disk when this answers."""
        batch = Batch(number, told.x_rows, told.x_content_sha256)
        await pushes.stage(Place(system, seq), batch, told.x_manifest_sha256, _body(request))
        return {"number": number, "rows": batch.rows}


def _commit(app: FastAPI, pushes: Pushes) -> None:
    @app.post("/v1/push/{system_id}/{seq}/commit")
    async def commit(system: System, seq: Seq, body: Annotated[Commit, Body()]) -> Json:
        """Merge what was pushed; it is durable when this answers."""
        done = await pushes.commit(Place(system, seq), body.manifest_sha256, body.batches)
        return {
            "status": done.state,
            "system_id": system,
            "seq": seq,
            "rows": done.rows,
            "deletes": done.deletes,
            "changed": done.changed,
        }


async def _body(request: Request) -> AsyncIterator[bytes]:
    async for chunk in request.stream():
        yield chunk


async def _missing(request: Request, error: Exception) -> Response:
    assert isinstance(error, BatchesMissing)
    members = problem(
        409, "batches_missing", error.message, hint=error.hint, request_id=request_id(request)
    )
    data = problem_bytes({**members, "missing": list(error.numbers)})
    return Response(data, status_code=409, media_type=MEDIA_TYPE)


async def _cut_off(request: Request, error: Exception) -> Response:
    """The client went before its body was through: nobody reads this, and nothing is a failure."""
    members = problem(400, "body_cut", "the body ended early", request_id=request_id(request))
    return Response(problem_bytes(members), status_code=400, media_type=MEDIA_TYPE)
