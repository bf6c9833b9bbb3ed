"""The web page's way in: a form that turns a token into a cookie. `gate` reads the cookie."""

from __future__ import annotations

import html
import re
from importlib.resources import files
from typing import Final
from urllib.parse import parse_qs

import structlog
from fastapi import FastAPI, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from recall_daemon.access.tokens import Tokens
from recall_daemon.serve.gate import COOKIE, LOGIN, Terms
from recall_daemon.serve.guard import Allowance
from recall_daemon.serve.rate import Rate
from recall_daemon.serve.who import caller_of

LOGOUT: Final = "/logout"
# A browser's own forms, which the guard lets nobody else's page send.
FORM: Final = Allowance(
    "POST", re.compile(r"/login|/logout"), frozenset({"application/x-www-form-urlencoded"}), 4_096
)
# Of one address, and as many at once.
ATTEMPTS_PER_MINUTE: Final = 10
_HEADERS: Final = {
    "cache-control": "no-store",
    # A form posted under no-referrer has the origin "null", which the guard refuses.
    "referrer-policy": "same-origin",
    "content-security-policy": (
        "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; "
        "frame-ancestors 'none'; base-uri 'none'"
    ),
}

log = structlog.get_logger(__name__)


def install(app: FastAPI, tokens: Tokens, terms: Terms) -> None:
    """Add the form, and the ways in and out. They are for people: no document lists them."""
    attempts = Rate(ATTEMPTS_PER_MINUTE)

    @app.get(LOGIN, include_in_schema=False)
    async def form(request: Request) -> Response:
        """The form; whoever is in already goes on."""
        return _page() if caller_of(request) is None else RedirectResponse("/", 303)

    @app.post(LOGIN, include_in_schema=False)
    async def login(request: Request) -> Response:
        """A good token goes into a cookie that no script and no other site can use."""
        token = _field(await request.body(), "token")
        address = request.client.host if request.client else ""
        wait_s = attempts.wait_s(address)
        if wait_s or tokens.caller(token) is None:
            return _failed(address, wait_s)
        answer = RedirectResponse("/", 303, headers={"cache-control": "no-store"})
        secure = terms.tls or request.url.scheme == "https"
        answer.set_cookie(COOKIE, token, httponly=True, samesite="strict", secure=secure)
        return answer

    @app.post(LOGOUT, include_in_schema=False)
    async def logout(request: Request) -> Response:
        answer = RedirectResponse(LOGIN, 303, headers={"cache-control": "no-store"})
        secure = terms.tls or request.url.scheme == "https"
        answer.delete_cookie(COOKIE, httponly=True, samesite="strict", secure=secure)
        return answer


def _failed(address: str, wait_s: int) -> Response:
    """An address that tries too often is told to wait. What it sent is nowhere."""
    log.warning("login.failed", address=address, held_off=bool(wait_s))
    if not wait_s:
        return _page("That token is wrong, expired or revoked.", 401)
    page = _page(f"Too many attempts: try again in {wait_s} s.", 429)
    page.headers["retry-after"] = str(wait_s)
    return page


def _field(body: bytes, name: str) -> str:
    """Of a form's body, which the guard keeps small; nothing where there is no such field."""
    return parse_qs(body.decode("latin-1")).get(name, [""])[0].strip()


def _page(said: str = "", status: int = 200) -> HTMLResponse:
    form = files("recall_daemon.serve").joinpath("login.html").read_text(encoding="utf-8")
    told = f'<p role="alert">{html.escape(said)}</p>' if said else ""
    return HTMLResponse(form.replace("<!-- said -->", told), status, headers=_HEADERS)
