"""`recalld events`: what has happened, and what happens."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Annotated

from cyclopts import Parameter
from cyclopts.types import PositiveInt
from rich.console import Console

from recall_daemon.commands.program import AsJson, Config, app, open_hub_api, print_answer
from recall_daemon.errors import HubUnreachable
from recall_daemon.operations import Json
from recall_daemon.settings import load_settings

LIST_MAX = 1_000


@app.command
def events(
    *,
    follow: Annotated[bool, Parameter(negative="")] = False,
    after: int | None = None,
    kind: list[str] | None = None,
    system: list[str] | None = None,
    limit: PositiveInt = 20,
    json_: AsJson = False,
    config: Config = None,
) -> None:
    """The newest events, or, with --follow, each as it happens, until interrupted.

    Parameters
    ----------
    follow
        Wait for events of the hub that runs. With --json one object a line.
    after
        With --follow: begin after the event of this number.
    kind
        Only of this kind, such as snapshot.quarantined; may be given several times.
    system
        Only of this system; may be given several times.
    limit
        How many of the newest, 1000 at most.
    """
    if follow:
        _follow(after, kind or [], system or [], json_, config)
        return
    with open_hub_api(config) as hub:
        answer = hub.events(min(limit, LIST_MAX), kind or [], system or [])
    print_answer(answer, json_, lambda console: _print(console, reversed(answer["events"])))


def _follow(
    after: int | None, kinds: list[str], systems: list[str], as_json: bool, config: Config
) -> None:
    from recall_daemon.remote import find_hub

    hub = find_hub(load_settings(config).data_dir)
    if hub is None:
        raise HubUnreachable("no hub runs here", hint="without --follow the newest are listed")
    console = Console(highlight=False)
    for event in hub.follow_events(after, kinds, systems):
        if as_json:
            print(json.dumps(event, ensure_ascii=False), flush=True)
        else:
            _print(console, [event])


def _print(console: Console, events: Iterable[Json]) -> None:
    """One a line, oldest first."""
    for event in events:
        body = event.get("body", {name: event[name] for name in event if name != "kind"})
        said = " ".join(f"{name}={value}" for name, value in body.items() if value is not None)
        where = event.get("system_id") or "-"
        line = f"{event.get('happened_at', '-')}  {event['kind']}  {where}  {said}"
        console.print(line, soft_wrap=True, markup=False)
