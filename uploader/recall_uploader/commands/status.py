"""`recall status`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from recall_uploader.commands.printing import print_result, warn
from recall_wire.doctor.facts import print_facts

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from recall_uploader.hub_said import HubSaid
    from recall_uploader.status import Status, Waiting, Way

_AGAIN = {
    "sent": "its rows were sent again",
    "next upload": "its rows are sent again by the next upload",
    "no": "its rows were refused too often and wait until they change",
}
_WAYS = {"cloud": "the bucket", "http": "the hub"}


def status(*, json_: bool = False, config: Path | None = None) -> int:
    """Show what is delivered, what the hub has of it, and what waits.

    Parameters
    ----------
    json_
        Print one JSON object.
    config
        A YAML settings file.
    """
    from recall_uploader.doctor.examine import impatient
    from recall_uploader.settings import load_settings
    from recall_uploader.status import status_of

    instance = impatient(load_settings(config))
    found = status_of(instance)
    if json_:
        print_result(json.dumps(found.as_dict()))
        return 0
    print_facts(_facts(found, instance.clock()))
    warn(found.warnings)
    return 0


def _facts(found: Status, now: datetime) -> Iterator[tuple[str, str]]:
    yield "system", f"{found.system_id}, machine {found.machine}…"
    yield (
        "state",
        found.state_folder if found.state != "none" else f"{found.state_folder}: none yet",
    )
    yield "goes to", " or ".join(filter(None, (found.bucket_url, found.hub_url))) or "nowhere yet"
    yield "delivered", _delivered(found, now)
    yield from _hub(found.hub)
    yield from _outbox(found.outbox, now)
    yield from (("", f"{_WAYS[way.name]} {_failing(way)}") for way in found.ways if way.failures)
    yield "last run", _ago(found.last_run_at, now) or "never"


def _delivered(found: Status, now: datetime) -> str:
    if found.state in ("damaged", "unusable"):
        return "not known: the state cannot be read"
    if not found.delivered_seq:
        return "nothing yet"
    ago = _ago(found.delivered_at, now)
    return f"up to snapshot {found.delivered_seq}" + (f", {ago}" if ago else "")


def _hub(said: HubSaid) -> Iterator[tuple[str, str]]:
    if said.told == "never":
        yield "hub", "has not been asked yet, or does not answer now"
        return
    if said.complete_to is None:
        yield "hub", "has said nothing of this system yet"
        return
    when = "" if said.told == "now" else " (as read before: it does not answer now)"
    has = f"everything up to snapshot {said.complete_to}" if said.complete_to else "nothing of it"
    yield "hub", f"has {has}{when}"
    if said.missing:
        yield "", f"misses {', '.join(_range(*pair) for pair in said.missing)}"
    for item in said.quarantined:
        yield "", f"could not take snapshot {item.seq}: {item.reason}; {_AGAIN[item.again]}"


def _outbox(waiting: Waiting, now: datetime) -> Iterator[tuple[str, str]]:
    from recall_wire.sizes import bytes_text

    if not waiting.snapshots:
        yield "outbox", "nothing waits"
    else:
        sizes = f"{waiting.rows} rows, {bytes_text(waiting.bytes)}"
        oldest = _ago(waiting.oldest_at, now)
        said = f"{_count(waiting.snapshots)} waiting: {sizes}"
        yield "outbox", said + (f", the oldest from {oldest}" if oldest else "")
    if waiting.pushed:
        yield "", f"{_count(waiting.pushed)} of them pushed to the hub, not in the bucket yet"
    if waiting.broken:
        yield "", f"{_count(waiting.broken)} of them damaged; the next upload sees to it"
    if waiting.failed:
        yield "", f"{_count(waiting.failed)} taken out, in failed/ (`recall outbox list`)"


def _failing(way: Way) -> str:
    times = f"failed {way.failures} times in a row" if way.failures > 1 else "failed last time"
    return times if way.status == "closed" else f"{times} and rests, tried once a minute"


def _count(snapshots: int) -> str:
    return f"{snapshots} snapshot{'' if snapshots == 1 else 's'}"


def _ago(when: datetime | None, now: datetime) -> str:
    from recall_wire.sizes import age_text

    return f"{age_text(now - when)} ago ({when:%Y-%m-%d %H:%M} UTC)" if when else ""


def _range(first: int, last: int) -> str:
    return str(first) if first == last else f"{first} to {last}"
