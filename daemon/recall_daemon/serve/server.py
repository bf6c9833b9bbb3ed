"""Binding the port and running the app in the hub's own event loop."""

from __future__ import annotations

import contextlib
import ipaddress
import socket
from collections.abc import Iterator

import uvicorn
from fastapi import FastAPI

from recall_daemon.serve import forget, push
from recall_daemon.serve.guard import Guard
from recall_wire.errors import SettingsInvalid

BACKLOG = 128
# A request in flight has this long to finish when the hub is told to stop.
DRAIN_S = 8


def bind(host: str, port: int) -> socket.socket:
    """A listening socket. Raises `SettingsInvalid` for a port in use, and for any address but
    loopback: the port has no tokens, so nothing but this machine may reach it."""
    if not _is_loopback(host):
        raise SettingsInvalid(
            f"http_host {host!r} is not a loopback address",
            hint="the port has no access control; use 127.0.0.1 and a tunnel",
        )
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        raise SettingsInvalid(
            f"{host}:{port} cannot be bound: {error.strerror}",
            hint="set RECALLD_HTTP_PORT to a free port",
        ) from error
    listener.listen(BACKLOG)
    return listener


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def url_of(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


class Server(uvicorn.Server):
    """uvicorn without signal handlers of its own: the hub decides when to stop."""

    def __init__(self, app: FastAPI, listener: socket.socket) -> None:
        port = listener.getsockname()[1]
        super().__init__(
            uvicorn.Config(
                Guard(app, port=port, allowances=(push.BATCHES, forget.BODY)),
                log_config=None,
                access_log=False,
                server_header=False,
                timeout_graceful_shutdown=DRAIN_S,
            )
        )
        self._listener = listener

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leaves the signals to the daemon."""
        yield

    async def run_until_stopped(self) -> None:
        await self.serve(sockets=[self._listener])

    def stop(self) -> None:
        self.should_exit = True
