"""Errors as RFC 9457 problem details: one sentence, a code for scripts, the request's id."""

from __future__ import annotations

import json
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Final

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from starlette.exceptions import HTTPException

from recall_daemon.search.query import QueryInvalid
from recall_wire.errors import RecallError, TransientError

MEDIA_TYPE: Final = "application/problem+json"
REQUEST_ID: Final = "request_id"

_TEXT: Final = {"type": "string"}
# Any request may be answered so; what each code means is in docs/api.md.
RESPONSES: Final[dict[int | str, dict[str, Any]]] = {
    status: {
        "description": HTTPStatus(status).phrase,
        "content": {
            MEDIA_TYPE: {
                "schema": {
                    "type": "object",
                    "required": ["type", "title", "status", "detail", "code"],
                    "properties": {
                        **dict.fromkeys(("type", "title", "detail", "code", "hint"), _TEXT),
                        "status": {"type": "integer"},
                        "transient": {"type": "boolean"},
                        "request_id": _TEXT,
                    },
                }
            }
        },
    }
    for status in (400, 401, 403, 404, 405, 409, 410, 413, 415, 421, 422, 423, 429, 500, 503, 507)
}

log = structlog.get_logger(__name__)


def problem(
    status: int,
    code: str,
    detail: str,
    *,
    hint: str = "",
    request_id: str = "",
    transient: bool = False,
) -> dict[str, object]:
    """The members of a problem. `code` is stable; `detail` is for people; `transient`: the same
    request may succeed later."""
    members: dict[str, object] = {
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
        "code": code,
    }
    if hint:
        members["hint"] = hint
    if transient:
        members["transient"] = True
    if request_id:
        members["request_id"] = request_id
    return members


def problem_bytes(members: Mapping[str, object]) -> bytes:
    return json.dumps(members, ensure_ascii=False).encode("utf-8", "replace")


def install(app: FastAPI, statuses: Mapping[type[RecallError], int] | None = None) -> None:
    """Answer every error of `app` as a problem.

    `statuses` says which status a kind of error has, the nearest class counting. Without an entry
    a search that cannot be answered is 422, a transient error 503 and a terminal one 500.
    """
    known: dict[type, int] = {RecallError: 500, TransientError: 503, QueryInvalid: 422}
    known.update(statuses or {})

    async def recall(request: Request, error: Exception) -> Response:
        assert isinstance(error, RecallError)
        status = next(known[kind] for kind in type(error).__mro__ if kind in known)
        members = problem(
            status,
            _code(error),
            error.message,
            hint=error.hint,
            request_id=request_id(request),
            transient=isinstance(error, TransientError),
        )
        return Response(problem_bytes(members), status_code=status, media_type=MEDIA_TYPE)

    app.add_exception_handler(RecallError, recall)
    app.add_exception_handler(RequestValidationError, _validation)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(Exception, _unexpected)


async def _validation(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"])
    return _answer(request, 422, "request_invalid", f"{where}: {first['msg']}")


async def _http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    code = HTTPStatus(error.status_code).phrase.lower().replace(" ", "_").replace("-", "_")
    response = _answer(request, error.status_code, code, str(error.detail))
    response.headers.update(error.headers or {})
    return response


async def _unexpected(request: Request, error: Exception) -> Response:
    # The server logs the traceback; a person gets the id to look for, and nothing of the inside.
    log.error("request_failed", kind=type(error).__name__, request_id=request_id(request))
    return _answer(request, 500, "internal_error", "the hub failed to answer; its log says why")


def request_id(request: Request) -> str:
    """The id the guard gave this request, or nothing where there is no guard."""
    return str(request.scope.get("state", {}).get(REQUEST_ID, ""))


def _answer(request: Request, status: int, code: str, detail: str) -> Response:
    members = problem(status, code, detail, request_id=request_id(request))
    return Response(problem_bytes(members), status_code=status, media_type=MEDIA_TYPE)


def _code(error: RecallError) -> str:
    """QueryInvalid → query_invalid."""
    name = type(error).__name__
    return "".join(f"_{c.lower()}" if c.isupper() else c for c in name).lstrip("_")
