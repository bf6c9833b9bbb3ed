"""Binding the port and running the app in the hub's own event loop."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import socket
import ssl
from collections.abc import Iterator

import structlog
import uvicorn
from fastapi import FastAPI

from recall_daemon.serve import forget, login, memories, push
from recall_daemon.serve.agents import mount as agents
from recall_daemon.serve.connections import watched
from recall_daemon.serve.gate import Terms
from recall_daemon.serve.guard import Guard
from recall_daemon.serve.mcp import mount as mcp
from recall_daemon.serve.observed import Observed
from recall_daemon.settings import HubSettings
from recall_wire.errors import SettingsInvalid

# Connections that wait in the kernel, and how many of them are taken in one go: a flood must
# neither fill the queue nor hold up the loop.
BACKLOG = 4096
TAKEN_AT_ONCE = 128
# A request in flight has this long to finish when the hub is told to stop.
DRAIN_S = 8
# The dashboard's messages are a few hundred bytes.
WEBSOCKET_MAX_BYTES = 1 << 20

# The bodies that may be of more than a mebibyte, or of another type than JSON.
_ALLOWANCES = (
    *(push.BATCHES, forget.BODY, memories.ONE, memories.BATCH),
    *(mcp.BODY, login.FORM),
    *agents.ALLOWANCES,
)

log = structlog.get_logger(__name__)


def bind(settings: HubSettings, *, has_token: bool) -> socket.socket:
    """A listening socket. Raises `SettingsInvalid` for a port in use, and where others than this
    machine could reach the port while no token keeps them out."""
    if not has_token and not is_loopback_alone(settings):
        what = "http_names are set" if is_loopback(settings.http_host) else "not loopback"
        raise SettingsInvalid(
            f"others than this machine could reach {settings.http_host!r} ({what}), "
            "and there is no token",
            hint="make one first: recalld token create --role admin",
        )
    host, port = settings.http_host, settings.http_port
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # asyncio turns Nagle's delay off only where the protocol is named: else the second half of
    # an answer waits 40 ms for the client to acknowledge the first.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
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


def is_loopback_alone(settings: HubSettings) -> bool:
    """Whether nothing but this machine reaches the port: no proxy stands before it, either."""
    return is_loopback(settings.http_host) and not settings.http_names


def is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def terms_of(settings: HubSettings, local_secret: str | None) -> Terms:
    """On what terms callers come in."""
    return Terms(
        loopback_alone=is_loopback_alone(settings),
        local_secret=local_secret,
        rate_per_minute=settings.rate_per_minute,
        tls=settings.tls_cert is not None,
    )


def say_terms(settings: HubSettings, *, in_force: bool) -> None:
    """Say plainly at the start who gets in, where it is more than those with a token over TLS."""
    if not in_force:
        log.warning(
            "access.open",
            note="there is no token: whoever reaches this loopback port may read, write and forget "
            "everything; `recalld token create` ends that",
        )
    if not is_loopback(settings.http_host) and settings.tls_cert is None:
        log.warning(
            "access.clear_text",
            note="tokens and memories cross the network in the clear; set tls_cert and tls_key, or "
            "put a proxy with TLS before a loopback address",
        )


# Where a socket that is bound to every address is reached from this machine.
_ANY = {"0.0.0.0": "127.0.0.1", "::": "::1"}


def url_of(listener: socket.socket, *, tls: bool = False) -> str:
    """Where this machine reaches it."""
    host, port = listener.getsockname()[:2]
    host = _ANY.get(host, host)
    scheme = "https" if tls else "http"
    return f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"


class Server(uvicorn.Server):
    """uvicorn without signal handlers of its own: the hub decides when to stop.

    Raises `SettingsInvalid` for a certificate or a key that cannot be read.
    """

    def __init__(self, app: FastAPI, listener: socket.socket, settings: HubSettings) -> None:
        guard = Guard(
            app,
            port=listener.getsockname()[1],
            names=_names(settings),
            any_address=not is_loopback(settings.http_host),
            allowances=_ALLOWANCES,
        )
        config = uvicorn.Config(
            Observed(guard),
            http=watched(),  # type: ignore[arg-type]
            log_config=None,
            access_log=False,
            server_header=False,
            # Whom a request came from is for a proxy to say, where there is one.
            proxy_headers=bool(settings.http_names),
            backlog=TAKEN_AT_ONCE,
            timeout_graceful_shutdown=DRAIN_S,
            ws_max_size=WEBSOCKET_MAX_BYTES,
            ssl_certfile=settings.tls_cert,
            ssl_keyfile=settings.tls_key,
        )
        try:
            config.load()
        except (OSError, ssl.SSLError) as error:
            raise SettingsInvalid(
                f"tls_cert {settings.tls_cert} with tls_key {settings.tls_key} cannot be used: "
                f"{error.strerror or error}",
                hint="both are PEM files, the key without a passphrase",
            ) from error
        super().__init__(config)
        self._listener = listener
        self.answers = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._listener.listen(BACKLOG)  # uvicorn has made the queue as short as what it takes
        self.answers.set()

    def reload_tls(self, settings: HubSettings) -> None:
        """Use what the certificate's files hold now for connections from now on.

        Raises `SettingsInvalid`, and goes on with what it had.
        """
        context = self.config.ssl
        if context is None or settings.tls_cert is None:
            return
        try:
            context.load_cert_chain(settings.tls_cert, settings.tls_key)
        except (OSError, ssl.SSLError) as error:
            raise SettingsInvalid(
                f"{settings.tls_cert} cannot be used: {error.strerror or error}"
            ) from error

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leaves the signals to the daemon."""
        yield

    async def run_until_stopped(self) -> None:
        await self.serve(sockets=[self._listener])

    def stop(self) -> None:
        self.should_exit = True


def _names(settings: HubSettings) -> list[str]:
    """The host names that people reach the hub by."""
    own = [] if is_loopback(settings.http_host) else [settings.http_host]
    return [*settings.http_names, *own]
