"""What nobody knows in a query is refused, whichever part of a route would have read it."""

from __future__ import annotations

from typing import Annotated

import pytest
from fastapi import Depends, FastAPI, Query
from fastapi.testclient import TestClient

from recall_daemon.serve import problem
from recall_daemon.serve.known import known_query


def _deeper(since: str = "") -> str:
    return since


def _filters(
    tags: Annotated[list[str] | None, Query()] = None, since: str = Depends(_deeper)
) -> str:
    return f"{tags} {since}"


@pytest.fixture
def http() -> TestClient:
    app = FastAPI(dependencies=[Depends(known_query)])
    problem.install(app)

    @app.get("/v1/list/{name}")
    def listed(name: str, filters: Annotated[str, Depends(_filters)], limit: int = 1) -> str:
        return f"{name} {filters} {limit}"

    @app.get("/healthz")
    def healthz() -> str:
        return "alive"

    return TestClient(app)


@pytest.mark.parametrize("query", ["", "limit=2", "tags=a&tags=b&since=x&limit=3"])
def test_what_is_known_is_answered(http: TestClient, query: str) -> None:
    assert http.get(f"/v1/list/a?{query}").status_code == 200


@pytest.mark.parametrize("query", ["tag=a", "limit=2&Limit=3", "name=b", "a%00b=1", "=1"])
def test_what_is_not_known_is_refused(http: TestClient, query: str) -> None:
    answer = http.get(f"/v1/list/a?{query}")
    assert answer.status_code == 422
    assert answer.json()["code"] == "query_invalid"
    assert "limit, since, tags" in answer.json()["hint"]


def test_health_is_told_whatever_is_asked_beside(http: TestClient) -> None:
    assert http.get("/healthz?probe=7").status_code == 200
