"""One open page, and whose it is."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from fastapi import Request
from nicegui import Client, ui
from starlette.concurrency import run_in_threadpool

from recall_daemon.access.caller import Caller
from recall_daemon.agents.actor import Actor, actor_for
from recall_daemon.agents.shared import Shared
from recall_daemon.errors import Forbidden
from recall_daemon.operations import Operations
from recall_daemon.serve.dashboard.dashboard import Dashboard
from recall_daemon.serve.dashboard.mount import STATE
from recall_daemon.serve.who import CALLER
from recall_wire.errors import RecallError

T = TypeVar("T")


class Visit:
    """A page in a browser, of whoever asked for it.

    The gate ends the page's connection at its first message after the token is good no more, so no
    event of a stranger arrives here; one over a connection of somebody else is refused.
    """

    def __init__(self, request: Request) -> None:
        self._request = request
        self._client: Client = ui.context.client
        self._caller: Caller = getattr(request.state, CALLER)
        self.dashboard: Dashboard = getattr(request.state, STATE)

    @property
    def caller(self) -> Caller:
        """Raises `Forbidden` where the page's connection is another caller's."""
        environ: dict[str, Any] | None = self._client.environ
        if environ is not None:
            scope = environ.get("asgi.scope", {})
            if scope.get("state", {}).get(CALLER) != self._caller:
                raise Forbidden("this page is somebody else's", hint="open it again")
        return self._caller

    @property
    def sees_everything(self) -> bool:
        return self._caller.reach.is_everything

    @property
    def is_admin(self) -> bool:
        return self._caller.is_admin

    def may_write(self, system_id: str) -> bool:
        return self._caller.may_write(system_id)

    @property
    def theme(self) -> bool | None:
        """Dark, light, or None for what the browser prefers."""
        return {"dark": True, "light": False}.get(self._request.cookies.get("theme", ""))

    @property
    def path(self) -> str:
        return self._request.url.path

    def asked(self, name: str) -> str:
        """A parameter of the page's address; "" where it has none."""
        return self._request.query_params.get(name, "").strip()

    def asked_exactly(self, name: str) -> str:
        """As `asked`, white space at its ends and all."""
        return self._request.query_params.get(name, "")

    async def read(self, work: Callable[[Operations, Caller], T]) -> T | None:
        """Do blocking work in a thread, as whoever looks at the page; None where it fails, which
        the page is told."""
        try:
            caller = self.caller
            hub = self.dashboard.hub.seen_by(caller)
            # The threads of the routes: those of the loop are busy with merges for minutes.
            return await run_in_threadpool(work, hub, caller)
        except RecallError as error:
            self._tell(error)
            return None

    async def ask(self, work: Callable[[Shared, Actor], T]) -> T | None:
        """As `read`, of the memories that agents share."""
        return await self.read(lambda _, caller: work(self.dashboard.agents, actor_for(caller)))

    async def do(self, work: Callable[[Caller], Awaitable[T]]) -> T | None:
        """Do something that only an admin may, on the loop; as `read`."""
        try:
            caller = self.caller
            caller.check_admin()
            return await work(caller)
        except RecallError as error:
            self._tell(error)
            return None

    def say(self, text: str) -> None:
        """Tell the page that something is done."""
        with self._client:
            ui.notify(text, type="positive")

    def _tell(self, error: RecallError) -> None:
        with self._client:
            ui.notify(str(error), type="negative", multi_line=True, timeout=8000)
