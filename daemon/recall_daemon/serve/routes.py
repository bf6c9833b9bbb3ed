"""The hub's HTTP routes: search, operations and pushing under `/v1`, and the two health checks."""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import version
from typing import Annotated

from fastapi import Body, Depends, FastAPI, Path, Query, Request
from fastapi.responses import JSONResponse

from recall_daemon.access.tokens import Tokens
from recall_daemon.agents.shared import Shared
from recall_daemon.backup.archive import Archive
from recall_daemon.errors import NotInQuarantine, VerifyInvalid
from recall_daemon.ingest.pushed import Pushes
from recall_daemon.jobs import Jobs
from recall_daemon.memory.forget import Forgetting
from recall_daemon.operations import Json, Operations
from recall_daemon.pull.sync import Pull
from recall_daemon.search.query import SearchRequest
from recall_daemon.serve import access as access_routes
from recall_daemon.serve import backup as backup_routes
from recall_daemon.serve import events as event_routes
from recall_daemon.serve import forget as forget_routes
from recall_daemon.serve import jobs as job_routes
from recall_daemon.serve import login, problem, push
from recall_daemon.serve import memories as memory_routes
from recall_daemon.serve import metrics as metric_routes
from recall_daemon.serve import pull as pull_routes
from recall_daemon.serve import tiers as tier_routes
from recall_daemon.serve.agents import mount as agent_routes
from recall_daemon.serve.gate import Gate, Terms
from recall_daemon.serve.known import known_query
from recall_daemon.serve.large_json import JsonRoute
from recall_daemon.serve.mcp import mount as mcp_routes
from recall_daemon.serve.slow import slowly
from recall_daemon.serve.subscribers import Subscribers
from recall_daemon.serve.who import Admin, Who, caller_of
from recall_daemon.store.ledger import Place, State

Ready = Callable[[], Json]

# What the store can hold.
Number = Annotated[int, Path(ge=0, lt=1 << 63)]
Sub = Annotated[int, Query(ge=0, lt=1 << 63)]


def make_app(
    hub: Operations,
    ready: Ready,
    pushes: Pushes,
    jobs: Jobs,
    archive: Archive,
    *,
    forgetting: Forgetting,
    pull: Pull,
    memories: memory_routes.Parts,
    shared: Shared,
    subscribers: Subscribers,
    tokens: Tokens,
    terms: Terms,
) -> FastAPI:
    """The app over a hub. `ready()` answers `{ready, parts: {name: reason or "ok"}}`.

    Routes are plain functions, so that each runs in a worker thread and none blocks the loop; those
    that push belong to the hub's own loop, as the pipeline does. Each takes `Who` or `Admin`, and
    answers from the hub as far as that caller may see it. The gate is the outermost of the app:
    what is installed before it is behind it.
    """
    app = FastAPI(
        title="recalld",
        version=version("recalld"),
        docs_url=None,
        redoc_url=None,
        openapi_url="/v1/openapi.json",
        responses=problem.RESPONSES,
        dependencies=[Depends(known_query)],
    )
    app.router.route_class = JsonRoute
    subjects = (
        push,
        pull_routes,
        job_routes,
        backup_routes,
        forget_routes,
        access_routes,
        event_routes,
        mcp_routes,
        agent_routes,
    )
    statuses = {
        kind: status for one in (*subjects, memory_routes) for kind, status in one.STATUSES.items()
    }
    problem.install(app, {NotInQuarantine: 404, VerifyInvalid: 422, **statuses})
    _health(app, ready)
    _search(app, hub)
    _operations(app, hub)
    tier_routes.install(app, hub)
    push.install(app, pushes)
    job_routes.install(app, jobs)
    backup_routes.install(app, archive)
    forget_routes.install(app, forgetting)
    pull_routes.install(app, pull)
    memory_routes.install(app, memories)
    agent_routes.install(app, shared)
    mcp_routes.install(app, hub, memories, shared, pull.sync_all_instances)
    event_routes.install(app, hub, subscribers)
    metric_routes.install(app)
    access_routes.install(app, hub)
    login.install(app, tokens, terms)
    app.add_middleware(Gate, tokens=tokens, terms=terms)
    return app


def _health(app: FastAPI, ready: Ready) -> None:
    @app.get("/healthz")
    async def healthz() -> Json:
        """The process is alive."""
        return {"status": "alive"}

    @app.get("/readyz")
    def readyz(request: Request) -> JSONResponse:
        """503 until it can answer searches; to an admin, each part of the hub with its reason."""
        state = ready()
        caller = caller_of(request)
        told = state if caller and caller.is_admin else {"ready": state["ready"]}
        return JSONResponse(told, status_code=200 if state["ready"] else 503)


def _search(app: FastAPI, hub: Operations) -> None:
    @app.post("/v1/search")
    def search(caller: Who, body: Annotated[Json, Body()]) -> JSONResponse:
        """`{query, limit?, offset?, mode?, context?, explain?, fold?, min_score?, …}`.

        Filters, each one value or a list: `system`, `project`, `kind`, `session`, `tags`, `agent`,
        `user`, `namespace`; and `since`, `until`. Weights: `recency_weight`, `importance_weight`.
        """
        return JSONResponse(hub.seen_by(caller).search(SearchRequest.from_json(body)))


def _operations(app: FastAPI, hub: Operations) -> None:
    @app.get("/v1/status")
    def status(caller: Who) -> JSONResponse:
        return JSONResponse(hub.seen_by(caller).status())

    @app.get("/v1/systems")
    def systems(caller: Who) -> JSONResponse:
        return JSONResponse(hub.seen_by(caller).systems())

    @app.get("/v1/verify")
    async def verify(caller: Admin, sample: int = 0) -> JSONResponse:
        """Proves the store against itself, its ledger and the index. Reads everything: slow."""
        return JSONResponse(await slowly(lambda: hub.seen_by(caller).verify(sample)))

    @app.get("/v1/model")
    def model(caller: Admin) -> JSONResponse:
        """The embedding space that serves, the one being built, and how many texts each has."""
        return JSONResponse(hub.seen_by(caller).model())

    @app.get("/v1/snapshots")
    def snapshots(
        caller: Who,
        system: str | None = None,
        state: State | None = None,
        limit: Annotated[int, Query(ge=1, le=1_000)] = 100,
        offset: Annotated[int, Query(ge=0, lt=1 << 63)] = 0,
    ) -> JSONResponse:
        """Whatever brought memories, by whichever way, newest first."""
        return JSONResponse(hub.seen_by(caller).snapshots(system, state, limit, offset))

    @app.get("/v1/quarantine")
    def quarantine(caller: Who) -> JSONResponse:
        return JSONResponse(hub.seen_by(caller).quarantine_list())

    @app.get("/v1/quarantine/{system_id}/{seq}")
    def show(caller: Who, system_id: str, seq: Number, sub: Sub = 0) -> JSONResponse:
        return JSONResponse(hub.seen_by(caller).quarantine_show(Place(system_id, seq, sub)))

    @app.post("/v1/quarantine/{system_id}/{seq}/retry")
    def retry(caller: Who, system_id: str, seq: Number, sub: Sub = 0) -> JSONResponse:
        """Read the snapshot again at the next poll."""
        return JSONResponse(hub.seen_by(caller).quarantine_retry(Place(system_id, seq, sub)))

    @app.post("/v1/quarantine/{system_id}/{seq}/drop")
    def drop(caller: Who, system_id: str, seq: Number, sub: Sub = 0) -> JSONResponse:
        """Give the snapshot up; its objects stay in the bucket."""
        return JSONResponse(hub.seen_by(caller).quarantine_drop(Place(system_id, seq, sub)))
