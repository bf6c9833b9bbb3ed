"""`GET /metrics`, as Prometheus reads it."""

from __future__ import annotations

from fastapi import FastAPI
from fastapi.responses import Response
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest

from recall_daemon.errors import Forbidden
from recall_daemon.metrics import REGISTRY
from recall_daemon.serve.who import Who


def install(app: FastAPI) -> None:
    """Add the route; it wants a caller who sees everything, for the numbers are of everything."""

    @app.get("/metrics", response_class=Response)
    def metrics(caller: Who) -> Response:
        """What the hub counts and measures. Reads memory alone, never the store."""
        if not caller.reach.is_everything:
            raise Forbidden(
                "the metrics are of all systems, and this token sees some",
                hint="use an admin's token, or a reader's that is bound to no system",
            )
        return Response(generate_latest(REGISTRY), media_type=CONTENT_TYPE_PLAIN_0_0_4)
