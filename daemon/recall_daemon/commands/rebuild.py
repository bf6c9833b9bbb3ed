"""`recalld rebuild`: the index made anew from the store."""

from __future__ import annotations

import asyncio
from pathlib import Path

from recall_daemon.commands.jobs import Tell, run_there, run_watched
from recall_daemon.commands.program import AsJson, Config, app, print_answer
from recall_daemon.operations import Json
from recall_daemon.settings import HubSettings, load_settings


@app.command
def rebuild(*, json_: AsJson = False, config: Config = None) -> int:
    """Make the index anew from the store: by the daemon that runs, else by this process.

    Searches go on from the old one until the new one is whole. Needs the disk space of both.
    """
    from recall_daemon.tables import print_fields

    ended = _rebuild(config, quiet=json_)
    answer = {"state": ended["state"], "detail": ended["detail"]}
    print_answer(answer, json_, lambda console: print_fields(console, answer))
    return 0 if answer["state"] == "done" else 1


def _rebuild(config: Path | None, *, quiet: bool) -> Json:
    from recall_daemon.rebuild import KIND
    from recall_daemon.remote import find_hub
    from recall_daemon.tables import showing_progress

    settings = load_settings(config)
    hub = find_hub(settings.data_dir)
    with showing_progress(quiet=quiet) as tell:
        return asyncio.run(_here(settings, tell)) if hub is None else run_there(KIND, hub, tell)


async def _here(settings: HubSettings, tell: Tell) -> Json:
    """Needs no bucket."""
    from recall_daemon.core import open_core
    from recall_daemon.jobs import Jobs
    from recall_daemon.rebuild import KIND, rebuild_job

    with open_core(settings) as core:
        jobs = Jobs(core.store, [rebuild_job(core.index, core.feed)], now=core.now)
        try:
            return await run_watched(KIND, jobs, tell)
        finally:
            jobs.close()
