"""The command `recalld`: one module a subject, each adding its commands to `program.app`.

Exit codes: 0 done · 1 `verify` found a problem, or something unexpected · 2 refused: bad input,
settings, permission · 3 `once` ended with something still pending · 130 interrupted.
"""

from recall_daemon.commands import (
    agents,
    audit,
    backup,
    conflicts,
    doctor,
    events,
    forget,
    jobs,
    locks,
    memories,
    model,
    pull,
    quarantine,
    rebuild,
    run,
    search,
    service,
    shares,
    status,
    tiers,
    token,
    versions,
)
from recall_daemon.commands.program import main

__all__ = [
    "agents",
    "audit",
    "backup",
    "conflicts",
    "doctor",
    "events",
    "forget",
    "jobs",
    "locks",
    "main",
    "memories",
    "model",
    "pull",
    "quarantine",
    "rebuild",
    "run",
    "search",
    "service",
    "shares",
    "status",
    "tiers",
    "token",
    "versions",
]
