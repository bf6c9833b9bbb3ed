"""Who asks, as a route takes it: `Who` for anybody who was let in, `Admin` for an admin alone."""

from __future__ import annotations

from typing import Annotated, Final

from fastapi import Depends
from starlette.requests import HTTPConnection

from recall_daemon.access.caller import Caller
from recall_daemon.errors import Unauthorized

# Where the gate puts the caller: `scope["state"][CALLER]`, for http and websocket.
CALLER: Final = "caller"


def caller_of(connection: HTTPConnection) -> Caller | None:
    """Whoever the gate let in; None on the few paths that are open to all."""
    caller = connection.scope.get("state", {}).get(CALLER)
    return caller if isinstance(caller, Caller) else None


async def who(connection: HTTPConnection) -> Caller:
    """Raises `Unauthorized`, also where there is no gate at all: nothing is open by mistake."""
    caller = caller_of(connection)
    if caller is None:
        raise Unauthorized("this needs a token")
    return caller


async def admin(connection: HTTPConnection) -> Caller:
    """Raises `Unauthorized`, `Forbidden`."""
    caller = await who(connection)
    caller.check_admin()
    return caller


Who = Annotated[Caller, Depends(who)]
Admin = Annotated[Caller, Depends(admin)]
