"""The route for forgetting. It writes, and what it does is final."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import partial
from typing import Annotated, Final

from fastapi import Body, FastAPI
from fastapi.responses import JSONResponse

from recall_daemon.errors import ForgetInvalid, NothingToForget
from recall_daemon.memory.criteria import Criteria
from recall_daemon.memory.forget import Forgetting
from recall_daemon.operations import Json
from recall_daemon.serve.guard import Allowance
from recall_daemon.serve.slow import slowly
from recall_daemon.serve.who import Who
from recall_wire.errors import RecallError

STATUSES: Final[Mapping[type[RecallError], int]] = {ForgetInvalid: 422, NothingToForget: 404}

# A hundred thousand ids.
BODY: Final = Allowance(
    "POST", re.compile(r"/v1/forget"), frozenset({"application/json"}), 32 << 20
)


def install(app: FastAPI, forgetting: Forgetting) -> None:
    """Add the route to an app whose errors are answered as problems, with `STATUSES`."""

    @app.post("/v1/forget")
    async def forget(caller: Who, body: Annotated[Json, Body()]) -> JSONResponse:
        """`{ids?, system?, project?, since?, until?, query?, rewrite?, purge?, dry_run?,
        upto_row?}` → the receipt. `upto_row`: the `last_row_id` of a dry run; what came later
        stays.

        The rows are gone when it answers; what they left on the disk goes by the job `purge`, the
        receipt says when. With `purge` it answers when that is done, with `rewrite` when the bucket
        is rewritten: both take as long as there is to read, and are an admin's to ask for. An
        instance forgets in its own system alone.
        """
        flags = {name: _flag(body, name) for name in _FLAGS}
        criteria = Criteria.from_json({k: v for k, v in body.items() if k not in _OPTIONS})
        upto_row = _row_id(body.get("upto_row"))
        work = partial(forgetting.forget, criteria, upto_row=upto_row, caller=caller, **flags)
        return JSONResponse(await slowly(work))


_FLAGS = ("rewrite", "purge", "dry_run")
_OPTIONS = (*_FLAGS, "upto_row")


def _row_id(value: object) -> int | None:
    if value is None or (type(value) is int and 0 <= value < 1 << 63):
        return value
    raise ForgetInvalid("upto_row is not a row id")


def _flag(body: Json, name: str) -> bool:
    value = body.get(name, False)
    if not isinstance(value, bool):
        raise ForgetInvalid(f"{name} is neither true nor false")
    return value
