"""What the hub remembers of an instance: its system, its protocol, and how far it has been read."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from typing import cast

from recall_daemon.pull.ask import Protocol
from recall_daemon.store import ledger
from recall_daemon.store.store import Connection

_FACT = "pull:"


@dataclass(frozen=True)
class Known:
    """`since`: what is older has been read; None where nothing was read whole yet."""

    system_id: str | None = None
    speaks: Protocol | None = None
    since: datetime | None = None


def read(connection: Connection, url: str) -> Known:
    said = ledger.fact(connection, _FACT + url)
    if said is None:
        return Known()
    values = json.loads(said)
    since = values["since"]
    return Known(
        system_id=values["system_id"],
        speaks=cast("Protocol | None", values["speaks"]),
        since=datetime.fromisoformat(since) if since else None,
    )


def write(connection: Connection, url: str, known: Known) -> None:
    """Inside the running transaction."""
    values = {
        "system_id": known.system_id,
        "speaks": known.speaks,
        "since": known.since.isoformat() if known.since else None,
    }
    ledger.set_fact(connection, _FACT + url, json.dumps(values))
