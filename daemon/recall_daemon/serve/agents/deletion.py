"""The routes that delete memories, bring them back, and say what became of one."""

from __future__ import annotations

from fastapi import FastAPI
from fastapi.responses import JSONResponse

from recall_daemon.agents.deletion import Deleting
from recall_daemon.agents.fate import Fates
from recall_daemon.serve.agents.actor import ActorOf
from recall_daemon.serve.agents.keyed import KeyOf
from recall_daemon.serve.agents.relations import Fence, Number
from recall_daemon.serve.agents.versions import Undo


def install(app: FastAPI, deleting: Deleting, fates: Fates) -> None:
    @app.delete("/v1/agent/memories/{memory_id:whole}")
    def delete(
        actor: ActorOf, key: KeyOf, memory_id: str, cascade: bool = True, fence: Fence = None
    ) -> JSONResponse:
        """→ `{deleted_ids, deletion_id}`: with all that hangs below it, in one transaction; without
        `cascade` its children get its own parent."""
        return JSONResponse(
            deleting.delete(actor, memory_id, cascade=cascade, fence=fence, key=key)
        )

    @app.post("/v1/agent/deletions/{deletion_id}/undo")
    def undo(
        actor: ActorOf, key: KeyOf, deletion_id: Number, body: Undo | None = None
    ) -> JSONResponse:
        """→ `{restored_ids}`, until what was deleted is purged."""
        fence = None if body is None else body.fence
        return JSONResponse(deleting.undo(actor, deletion_id, fence=fence, key=key))

    @app.get("/v1/agent/fate/{memory_id:whole}")
    def fate(actor: ActorOf, memory_id: str) -> JSONResponse:
        """→ `{state, why, events, …}`: what became of a memory, and why."""
        return JSONResponse(fates.fate(actor, memory_id))
