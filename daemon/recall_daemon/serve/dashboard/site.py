"""NiceGUI with our pages on it. Importing this loads it: only `mount` does, in a thread."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from fastapi import FastAPI
from nicegui import app as nicegui_app
from nicegui import ui

from recall_daemon.serve.dashboard import (
    agents,
    conflicts,
    fleet,
    jobs,
    memory,
    quarantine,
    search,
)
from recall_daemon.serve.guard import App

_ICON = (Path(__file__).parent / "recalld.svg").read_text(encoding="utf-8")
# A closed page is forgotten after so long; a laptop's lid or a lost network comes back within it.
RECONNECT_S = 10.0


def _configure() -> None:
    """Once a process: NiceGUI is one app."""
    # It is run by us and mounted nowhere: `run_with` only sets it up.
    ui.run_with(
        FastAPI(),
        title="recalld",
        favicon=_ICON,
        dark=None,  # as the browser prefers
        language="en-US",
        binding_refresh_interval=None,  # no page binds to what changes by itself
        reconnect_timeout=RECONNECT_S,
        tailwind=False,
        show_welcome_message=False,
    )
    # Polling is what a page falls back to; its posts are of a type that any form can send.
    nicegui_app.config.socket_io_js_transports = ["websocket"]
    for page in (fleet, search, memory, agents, conflicts, quarantine, jobs):
        page.install()


_configure()


@asynccontextmanager
async def running() -> AsyncIterator[App]:
    """NiceGUI's app with its timers; they end with the context, and it can be entered again."""
    async with nicegui_app.router.lifespan_context(nicegui_app):
        yield nicegui_app
