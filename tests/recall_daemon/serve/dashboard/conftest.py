"""A hub's pages on a port of their own, and a browser's part of the talk with them."""

from __future__ import annotations

import asyncio
import html
import json
import re
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, nullcontext
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest
import socketio
import uvicorn

from recall_daemon.serve.dashboard.dashboard import Dashboard
from recall_daemon.serve.dashboard.mount import install
from recall_daemon.serve.gate import COOKIE
from recall_daemon.serve.guard import Guard

_ELEMENTS = re.compile(r"parseElements\(String\.raw`(.*?)`\)", re.DOTALL)
_CLIENT = re.compile(r"query: (\{.*?\}),", re.DOTALL)


@dataclass
class Page:
    """A page as the browser gets it: its elements, and who it says it is."""

    answer: httpx.Response

    @property
    def elements(self) -> dict[str, dict[str, Any]]:
        match = _ELEMENTS.search(self.answer.text)
        assert match, self.answer.text[:500]
        found: dict[str, dict[str, Any]] = json.loads(html.unescape(match[1]))
        return found

    @property
    def query(self) -> dict[str, Any]:
        match = _CLIENT.search(self.answer.text)
        assert match
        found: dict[str, Any] = json.loads(match[1].replace("'", '"').replace("True", "true"))
        return found

    @property
    def texts(self) -> list[str]:
        return [str(e["text"]) for e in self.elements.values() if e.get("text") is not None]

    @property
    def links(self) -> list[str]:
        found = (element.get("props", {}).get("href") for element in self.elements.values())
        return [str(target) for target in found if target]

    def options(self, name: str) -> Any:
        """Of the first element that is drawn from options of that name."""
        props = [element.get("props", {}) for element in self.elements.values()]
        found = [each["options"] for each in props if name in each.get("options", {})]
        return found[0][name]

    def button(self, label: str) -> tuple[int, str]:
        """The id of the element with that label, and of what listens to its click."""
        for number, element in self.elements.items():
            if element.get("props", {}).get("aria-label") == label:
                clicks = [e for e in element["events"] if e["type"] == "click"]
                return int(number), str(clicks[0]["listener_id"])
        raise AssertionError(f"there is no {label!r}")


class Browser:
    """Gets pages and talks over their connection."""

    def __init__(self, base_url: str, token: str | None = None) -> None:
        cookies = {COOKIE: token} if token else {}
        self.http = httpx.AsyncClient(base_url=base_url, cookies=cookies)
        self._base_url = base_url
        self._headers = {"cookie": f"{COOKIE}={token}"} if token else {}

    async def get(self, path: str, **parameters: str) -> Page:
        return Page(
            await self.http.get(path, params=parameters or None, headers={"accept": "text/html"})
        )

    @asynccontextmanager
    async def connected(self, page: Page) -> AsyncIterator[socketio.AsyncSimpleClient]:
        query = {**page.query, "tab_id": "tab", "document_id": "document", "old_tab_id": ""}
        query["implicit_handshake"] = "true"
        url = httpx.URL(self._base_url, params={k: str(v) for k, v in query.items()})
        async with socketio.AsyncSimpleClient(reconnection=False) as client:
            await client.connect(
                str(url),
                socketio_path="/_nicegui_ws/socket.io",
                transports=["websocket"],
                headers=self._headers,
            )
            yield client

    async def click(self, client: socketio.AsyncSimpleClient, page: Page, label: str) -> None:
        number, listener = page.button(label)
        message = {"client_id": page.query["client_id"], "id": number, "listener_id": listener}
        await client.emit("event", {**message, "args": [None]})


@dataclass
class Site:
    url: str
    browsers: list[Browser] = field(default_factory=list)

    def browser(self, token: str | None = None) -> Browser:
        browser = Browser(self.url, token)
        self.browsers.append(browser)
        return browser

    async def close(self) -> None:
        for browser in self.browsers:
            await browser.http.aclose()


@pytest.fixture
def serve_pages() -> Any:
    """Serves a test hub's pages while the context lasts."""

    @asynccontextmanager
    async def serving(test_hub: Any) -> AsyncIterator[Site]:
        app = test_hub.app()
        install(app, Dashboard.of(test_hub.hub))
        with socket.create_server(("127.0.0.1", 0)) as listener:
            port = listener.getsockname()[1]
            config = uvicorn.Config(Guard(app, port=port), log_config=None, lifespan="on")
            server = uvicorn.Server(config)
            server.capture_signals = nullcontext  # type: ignore[method-assign]
            site = Site(f"http://127.0.0.1:{port}")
            running = asyncio.create_task(server.serve(sockets=[listener]))
            try:
                while not server.started:
                    await asyncio.sleep(0)
                yield site
            finally:
                await site.close()
                server.should_exit = True
                await running

    return serving
