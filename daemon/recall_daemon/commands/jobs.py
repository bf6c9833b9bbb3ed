"""`recalld jobs`: work in the background, and running it now."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from cyclopts import App

from recall_daemon.commands.program import AsJson, Config, app, open_hub_api, print_answer
from recall_daemon.operations import Json
from recall_daemon.settings import HubSettings, load_settings

if TYPE_CHECKING:
    from recall_daemon.jobs import Jobs
    from recall_daemon.remote import RemoteHub

jobs = App(name="jobs", help="Work in the background.")
app.command(jobs)

LOOK_EVERY_S = 0.5

# Gets the state of a run, as `GET /v1/jobs` has it.
Tell = Callable[[Json], None]


def _nobody(run: Json) -> None:
    """Nobody watches."""


@jobs.default
def list_(*, json_: AsJson = False, config: Config = None) -> None:
    """Each kind with its newest run: state, how far it is, and what it says."""
    from recall_daemon.tables import print_jobs

    with open_hub_api(config) as hub:
        answer = hub.jobs()
    print_answer(answer, json_, lambda console: print_jobs(console, answer))


@jobs.command
def run(kind: str, *, json_: AsJson = False, config: Config = None) -> int:
    """Run a job now and wait for its end: by the daemon that runs, else by this process."""
    from recall_daemon.tables import print_fields

    ended = run_job(kind, config)
    print_answer(ended, json_, lambda console: print_fields(console, ended))
    return 0 if ended["state"] == "done" else 1


def run_job(kind: str, config: Path | None) -> Json:
    """Run a job and return how it ended. Raises `JobUnknown`, `JobRunning`, and the like."""
    from recall_daemon.remote import find_hub

    settings = load_settings(config)
    hub = find_hub(settings.data_dir)
    return asyncio.run(_here(kind, settings)) if hub is None else run_there(kind, hub)


async def _here(kind: str, settings: HubSettings) -> Json:
    from recall_daemon.app import open_hub
    from recall_daemon.core import open_core

    with open_core(settings) as core:
        async with open_hub(core) as hub:
            return await run_watched(kind, hub.jobs)


async def run_watched(kind: str, jobs: Jobs, tell: Tell = _nobody) -> Json:
    """Run a job of this process, tell its state now and then, and return how it ended."""
    from recall_daemon.access.caller import LOCAL
    from recall_daemon.jobs import run_json

    running = asyncio.create_task(jobs.run(kind, actor=LOCAL.name))
    while not (await asyncio.wait({running}, timeout=LOOK_EVERY_S))[0]:
        tell(_newest(kind, await asyncio.to_thread(jobs.listed)))
    return run_json(kind, None, await running)


def run_there(kind: str, hub: RemoteHub, tell: Tell = _nobody) -> Json:
    """Have the daemon run a job, tell its state now and then, and return how it ended."""
    job_id = hub.start_job(kind)["job_id"]
    while True:
        run = _newest(kind, hub.jobs())
        # Another run may have begun since: then this one has ended, and the newer one is told.
        if run["job_id"] > job_id or run["state"] != "running":
            return run
        tell(run)
        time.sleep(LOOK_EVERY_S)


def _newest(kind: str, listed: Json) -> Json:
    return next(dict(job) for job in listed["jobs"] if job["kind"] == kind)
