"""`recalld status`, `systems`, `snapshots` and `verify`: where the hub stands."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter
from cyclopts.types import PositiveInt

from recall_daemon.commands.program import AsJson, Config, app, open_hub_api, print_answer
from recall_daemon.store.ledger import State

SNAPSHOTS_MAX = 1_000

Sample = Annotated[
    int,
    Parameter(
        name="--sample",
        help="Also compare the words and vectors of so many random rows, and fetch so many cold.",
    ),
]


@app.command
def status(*, json_: AsJson = False, config: Config = None) -> None:
    """Rows, backlog, and where each system stands."""
    from recall_daemon.tables import print_status

    with open_hub_api(config) as hub:
        answer = hub.status()
    print_answer(answer, json_, lambda console: print_status(console, answer))


@app.command
def systems(*, json_: AsJson = False, config: Config = None) -> None:
    """Each system: complete to N, missing, quarantined, rows, lag."""
    from recall_daemon.tables import print_systems

    with open_hub_api(config) as hub:
        answer = hub.systems()
    print_answer(answer, json_, lambda console: print_systems(console, answer))


@app.command
def snapshots(
    *,
    system: str | None = None,
    state: State | None = None,
    limit: PositiveInt = 20,
    json_: AsJson = False,
    config: Config = None,
) -> None:
    """What has come, by whichever way, newest first."""
    from recall_daemon.tables import print_snapshots

    with open_hub_api(config) as hub:
        answer = hub.snapshots(system, state, min(limit, SNAPSHOTS_MAX))
    print_answer(answer, json_, lambda console: print_snapshots(console, answer))


@app.command
def verify(*, sample: Sample = 0, json_: AsJson = False, config: Config = None) -> int:
    """Prove the store against itself, its ledger and the index."""
    from recall_daemon.tables import print_fields

    with open_hub_api(config) as hub:
        answer = hub.verify(sample)
    print_answer(answer, json_, lambda console: print_fields(console, answer))
    return 0 if answer["ok"] else 1
