"""Tells of gaps: each once when it is noticed, and once when the last of its numbers has come."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Collection, Sequence
from datetime import datetime

from recall_daemon.store import events, ledger
from recall_daemon.store.store import Connection, Store

Range = tuple[int, int]

# What has been told, so that a restart tells nothing twice.
_FACT = "gaps_told"
# Of one system: an ack lists no more, either.
_MAX_TOLD = 1_000


def tell(store: Store, busy: Collection[str], now: datetime) -> None:
    """Write an event for each gap that is new or closed. Blocking; idempotent.

    `busy` systems are left out: what a head of theirs announces may be on its way.
    """
    with store.read() as connection:
        told, missing = _told(connection), _missing(connection)
    changed = [
        name
        for name in told.keys() | missing.keys()
        if name not in busy and told.get(name, []) != missing.get(name, [])
    ]
    if changed:
        store.write(lambda connection: _tell(connection, changed, now))


def _tell(connection: Connection, systems: Sequence[str], now: datetime) -> None:
    told, missing = _told(connection), _missing(connection)
    for system_id in sorted(systems):
        before, there = told.pop(system_id, []), missing.get(system_id, [])
        kept = [gap for gap in before if _overlaps(gap, there)]
        new = [part for gap in there for part in _without(gap, before)]
        for kind, ranges in (("gap.closed", set(before) - set(kept)), ("gap.noticed", set(new))):
            for first, last in sorted(ranges):
                body = {"first": first, "last": last}
                events.append(connection, kind, system_id, body, now)
        if kept or new:
            told[system_id] = sorted([*kept, *new])
    ledger.set_fact(connection, _FACT, json.dumps(told))


def _told(connection: Connection) -> dict[str, list[Range]]:
    text = ledger.fact(connection, _FACT)
    found = json.loads(text) if text else {}
    return {name: [(first, last) for first, last in ranges] for name, ranges in found.items()}


def _missing(connection: Connection) -> dict[str, list[Range]]:
    found: defaultdict[str, list[Range]] = defaultdict(list)
    for gap in ledger.gaps(connection):
        if len(found[gap.system_id]) < _MAX_TOLD:
            found[gap.system_id].append((gap.first, gap.last))
    return dict(found)


def _overlaps(gap: Range, others: Sequence[Range]) -> bool:
    return any(first <= gap[1] and gap[0] <= last for first, last in others)


def _without(gap: Range, others: Sequence[Range]) -> list[Range]:
    """The parts of a gap that lie in none of the others, which are in order."""
    parts, start = [], gap[0]
    for first, last in others:
        if last < start or first > gap[1]:
            continue
        if first > start:
            parts.append((start, first - 1))
        start = last + 1
    return [*parts, (start, gap[1])] if start <= gap[1] else parts
