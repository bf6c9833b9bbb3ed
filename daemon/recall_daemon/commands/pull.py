"""`recalld pull`: memories from instances that cannot reach the bucket."""

from __future__ import annotations

import asyncio
import sys
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from recall_daemon.commands.program import AsJson, Config, app, print_answer
from recall_daemon.operations import Json
from recall_daemon.settings import HubSettings, load_settings
from recall_wire.exits import NOT_NOW

if TYPE_CHECKING:
    from recall_daemon.pull.sync import Step

Flag = Parameter(negative="")


@app.command
def pull(
    urls: Annotated[tuple[str, ...], Parameter(negative="")] = (),
    /,
    *,
    query: str = "",
    limit: int = 100,
    full: Annotated[bool, Flag] = False,
    check: Annotated[bool, Flag] = False,
    json_: AsJson = False,
    config: Config = None,
) -> int:
    """Fetch memories over HTTP from instances, and store what is new. Exit 3 where some failed.

    By the daemon that runs, else by this process.

    Parameters
    ----------
    urls
        Instances; without any those of the setting pull_instances, else http://localhost:8678.
    query
        Only what the instances find for it.
    limit
        Memories of each instance.
    full
        Not only what is new since the last time, or of the last 24 hours.
    check
        Only say which instances answer; nothing is fetched.
    """
    from recall_daemon.tables import print_pull

    settings = load_settings(config)
    if check:
        answer = asyncio.run(_checked(urls, settings))
        print_answer(answer, json_, lambda console: print_pull(console, answer))
        return 0 if all(one["healthy"] for one in answer["instances"]) else NOT_NOW
    answer = _pulled(urls, query, limit, full, settings)
    print_answer(answer, json_, lambda console: print_pull(console, answer))
    return 0 if answer["success"] else NOT_NOW


def sync_all_instances(
    instance_urls: tuple[str, ...] = (),
    query: str = "",
    limit: int = 100,
    incremental: bool = True,
    *,
    config: Path | None = None,
) -> Json:
    """What the command does, for scripts: see `Pull.sync_all_instances`."""
    return _pulled(instance_urls, query, limit, not incremental, load_settings(config))


def _pulled(
    urls: tuple[str, ...], query: str, limit: int, full: bool, settings: HubSettings
) -> Json:
    from recall_daemon.remote import find_hub

    hub = find_hub(settings.data_dir)
    if hub is not None:
        with closing(hub):
            return hub.pull({"urls": list(urls), "query": query, "limit": limit, "full": full})
    return asyncio.run(_here(urls, query, limit, full, settings))


async def _here(
    urls: tuple[str, ...], query: str, limit: int, full: bool, settings: HubSettings
) -> Json:
    from recall_daemon.app import open_pull
    from recall_daemon.core import open_core

    with open_core(settings) as core, open_pull(core) as puller:
        return await puller.sync_all_instances(
            urls, query, limit, incremental=not full, on_progress=_tell
        )


def _tell(step: Step) -> None:
    if sys.stderr.isatty():
        outcome = step.outcome
        said = "failed" if outcome["failed"] else f"{outcome['memories_fetched']} memories"
        print(f"{step.done} of {step.total}: {step.url}: {said}", file=sys.stderr)


async def _checked(urls: tuple[str, ...], settings: HubSettings) -> Json:
    from recall_daemon.pull.client import MemorySyncClient
    from recall_daemon.pull.instances import Instances, normal_url

    instances = Instances.of(settings)

    async def one(url: str) -> Json:
        instance = instances.find(url)
        async with MemorySyncClient(url, token=instance.token) as client:
            return await client.check_health()

    chosen = dict.fromkeys(map(normal_url, urls or instances.urls))
    return {"instances": await asyncio.gather(*map(one, chosen))}
