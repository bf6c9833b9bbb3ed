"""The routes for how important memories are, and become."""

from __future__ import annotations

from typing import Annotated

from fastapi import FastAPI
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field

from recall_daemon.agents.decay import REINFORCE_FACTOR, REINFORCE_FACTOR_MAX
from recall_daemon.agents.reinforce import Reinforcing
from recall_daemon.serve.agents.actor import ActorOf
from recall_daemon.serve.agents.keyed import KeyOf


class Reinforced(BaseModel):
    """`memory_id` is `MEMORY_ID` or `SYSTEM/MEMORY_ID`; `fence`: of the lock on it, if any."""

    model_config = ConfigDict(extra="forbid")

    memory_id: Annotated[str, Field(min_length=1)]
    factor: Annotated[float, Field(strict=True, gt=0, le=REINFORCE_FACTOR_MAX)] = REINFORCE_FACTOR
    fence: Annotated[int | None, Field(strict=True, ge=1, lt=1 << 63)] = None


def install(app: FastAPI, reinforcing: Reinforcing) -> None:
    @app.post("/v1/agent/reinforce")
    def reinforce(actor: ActorOf, key: KeyOf, body: Reinforced) -> JSONResponse:
        """→ `{memory_id, system_id, new_importance}`: what it is worth now, times `factor`."""
        return JSONResponse(
            reinforcing.reinforce(actor, body.memory_id, body.factor, fence=body.fence, key=key)
        )
