"""`recalld tiers` and `recalld age`: what each tier holds, and moving rows down now."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from recall_daemon.commands.jobs import run_job
from recall_daemon.commands.program import AsJson, Config, app, open_hub_api, print_answer
from recall_daemon.operations import Json
from recall_daemon.settings import load_settings

DryRun = Annotated[bool, Parameter(name="--dry-run", negative="", help="Only say what is due.")]


@app.command
def tiers(*, json_: AsJson = False, config: Config = None) -> None:
    """Rows, bytes and ages of each tier, the cold files and the cache."""
    from recall_daemon.tables import print_tiers

    with open_hub_api(config) as hub:
        answer = hub.tiers()
    print_answer(answer, json_, lambda console: print_tiers(console, answer))


@app.command
def age(*, dry_run: DryRun = False, json_: AsJson = False, config: Config = None) -> int:
    """Move rows down the tiers as their age says: by the daemon that runs, else by this process."""
    from recall_daemon.tables import print_fields
    from recall_daemon.tiers.job import KIND

    if dry_run:
        with open_hub_api(config) as hub:
            answer = hub.tiers_due()
    else:
        ended = run_job(KIND, config)
        answer = {"state": ended["state"], "detail": ended["detail"]}
        if ended["state"] == "done":
            answer |= _last_run(config)
    print_answer(answer, json_, lambda console: print_fields(console, answer))
    return 0 if dry_run or answer["state"] == "done" else 1


def _last_run(config: Path | None) -> Json:
    """What the run that has just ended did."""
    from recall_daemon.remote import find_hub

    settings = load_settings(config)
    hub = find_hub(settings.data_dir)
    if hub is not None:
        return hub.tiers()["last_run"] or {}
    from recall_daemon.core import open_core

    with open_core(settings) as core:
        return core.tiers.last_run() or {}
