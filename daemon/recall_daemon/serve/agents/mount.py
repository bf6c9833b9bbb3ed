"""Installs the routes by which agents share memories."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from fastapi import FastAPI

from recall_daemon.agents.shared import Shared
from recall_daemon.errors import (
    AgentInvalid,
    ConflictNotFound,
    LockNotHeld,
    MemoryExists,
    MemoryGone,
    MemoryLocked,
    ResolutionInvalid,
    StaleFence,
)
from recall_daemon.serve.agents import (
    deletion,
    groups,
    life,
    locks,
    memories,
    relations,
    sharing,
    slices,
    versions,
)
from recall_wire.errors import RecallError

STATUSES: Final[Mapping[type[RecallError], int]] = {
    AgentInvalid: 422,
    MemoryExists: 409,
    MemoryLocked: 423,
    LockNotHeld: 409,
    StaleFence: 409,
    MemoryGone: 410,
    ConflictNotFound: 404,
    ResolutionInvalid: 422,
}

# Bodies that may be of more than a mebibyte.
ALLOWANCES: Final = memories.ALLOWANCES


def install(app: FastAPI, shared: Shared) -> None:
    """Add the routes to an app whose errors are answered as problems, with `STATUSES`."""
    memories.install(app, shared.memories)
    relations.install(app, shared.relations)
    groups.install(app, shared.groups, shared.sessions)
    deletion.install(app, shared.deleting, shared.fates)
    locks.install(app, shared.locks)
    life.install(app, shared.reinforcing)
    versions.install(app, shared.editing, shared.review)
    sharing.install(app, shared.sharing, shared.share_rules)
    slices.install(app, shared.slices, shared.statistics)
