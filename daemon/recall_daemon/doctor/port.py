"""The port: who answers there, and whom it answers."""

from __future__ import annotations

import socket
from collections.abc import Iterator

from recall_daemon.doctor.look import Look
from recall_daemon.serve.server import is_loopback_alone
from recall_wire.doctor.finding import Finding, failed, note, ok, problem
from recall_wire.errors import RecallError

CONNECT_S = 3.0


def port(look: Look) -> Iterator[Finding]:
    if look.daemon is not None:
        yield ok("port", f"the hub answers at {look.daemon.url}")
    else:
        yield _free(look.settings.http_host, look.settings.http_port)


def _free(host: str, number: int) -> Finding:
    """By binding it for a moment, as a start does."""
    if not number:
        return ok("port", "any free one")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((host, number))
        except OSError as error:
            return problem(
                "port",
                f"{host}:{number} cannot be bound, and no hub works on this data folder: "
                f"{error.strerror}",
                f"`ss -ltnp 'sport = :{number}'` shows whose it is; or set http_port",
            )
    return ok("port", f"{host}:{number} is free; no hub runs")


def tokens(look: Look) -> Iterator[Finding]:
    alone = is_loopback_alone(look.settings)
    if look.hub is None:
        return
    try:
        good = [one for one in look.hub.tokens()["tokens"] if one["state"] == "active"]
    except RecallError as error:
        yield failed("tokens", error)
        return
    if good:
        yield ok("tokens", f"{len(good)} are good; every request needs one")
    elif alone:
        yield note(
            "tokens",
            "there is none: whoever reaches the port from this machine may do everything",
            "`recalld token create --role admin` makes the first",
        )
    else:
        yield problem(
            "tokens",
            f"others could reach {look.settings.http_host}, and there is no token: the hub does "
            "not start",
            "`recalld token create --role admin` makes the first",
        )
