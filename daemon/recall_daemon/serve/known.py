"""A parameter of the query that no route knows is refused: most likely a typo, such as `tag=`."""

from __future__ import annotations

from collections.abc import Iterator

from fastapi import Request
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute

from recall_daemon.search.query import QueryInvalid


async def known_query(request: Request) -> None:
    """For all routes of the API. Raises `QueryInvalid`."""
    route = request.scope.get("route")
    if not request.query_params or not isinstance(route, APIRoute):
        return
    if not request.url.path.startswith("/v1/"):  # who asks for health may add what they like
        return
    known = set(_names(route.dependant))
    unknown = sorted(set(request.query_params) - known)
    if unknown:
        said = ", ".join(sorted(known)) or "none"
        raise QueryInvalid(f"{unknown[0][:40]!r} is not known", hint=f"known are: {said}")


def _names(dependant: Dependant) -> Iterator[str]:
    yield from (parameter.alias for parameter in dependant.query_params)
    for each in dependant.dependencies:
        yield from _names(each)
