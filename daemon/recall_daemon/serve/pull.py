"""The route that pulls from instances. It has the hub call addresses of the caller's choice."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Final

from fastapi import FastAPI
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field

from recall_daemon.pull.answer import ROWS_MAX
from recall_daemon.pull.errors import PullInvalid
from recall_daemon.pull.sync import QUERY_MAX_CHARS, URLS_MAX, Pull
from recall_daemon.serve.who import Admin
from recall_wire.errors import RecallError

STATUSES: Final[Mapping[type[RecallError], int]] = {PullInvalid: 422}


class Asked(BaseModel):
    """Without `urls`: the configured instances. `full`: not only what is new since last time."""

    model_config = ConfigDict(extra="forbid")

    urls: Annotated[list[str], Field(max_length=URLS_MAX)] = []
    query: Annotated[str, Field(max_length=QUERY_MAX_CHARS)] = ""
    limit: Annotated[int, Field(ge=1, le=ROWS_MAX)] = 100
    full: bool = False


def install(app: FastAPI, pull: Pull) -> None:
    """Add the route to an app whose errors are answered as problems, with `STATUSES`."""

    @app.post("/v1/pull")
    async def pull_now(caller: Admin, asked: Asked) -> JSONResponse:
        """Fetch memories from instances over HTTP; answers when they are stored and embedded.

        `{success, memories_fetched, memories_synced, embeddings_generated, errors: [{url,
        memory_id, error}], instances}`.
        """
        answer = await pull.sync_all_instances(
            asked.urls, asked.query, asked.limit, incremental=not asked.full
        )
        return JSONResponse(answer)
