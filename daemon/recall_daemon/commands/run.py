"""`recalld run` and `recalld once`: the hub at work."""

from __future__ import annotations

import asyncio
import os
import sys
import threading
from contextlib import ExitStack

from recall_daemon import logs
from recall_daemon.commands.program import AsJson, Config, app, print_answer
from recall_daemon.operations import Json
from recall_daemon.settings import load_settings
from recall_wire.exits import NOT_NOW

# From the signal to the end of the process, at most.
STOP_S = 9.5


@app.command
def run(*, config: Config = None) -> None:
    """Run the hub: poll, merge, embed and serve until it is told to stop."""
    from recall_daemon.core import open_core

    settings = load_settings(config)
    logs.set_level(settings.log_level)
    with ExitStack() as opened:
        core = opened.enter_context(open_core(settings))
        # The index is read beside the import of all that serves: each takes seconds.
        core.begin()
        from recall_daemon.daemon import run as run_daemon

        async def work() -> None:
            await run_daemon(
                core,
                announce=lambda url: print(f"recalld answers at {url}", flush=True),
                on_stop=_end_soon,
                load=lambda: load_settings(config),
            )
            opened.close()
            # The store is closed and everything committed. A thread that still embeds or loads a
            # model has nothing to lose, and waiting for it would take a minute.
            sys.stdout.flush()
            os._exit(0)

        asyncio.run(work())


def _end_soon() -> None:
    """End in `STOP_S`, whatever is under way: a copy of the store or a training may take longer,
    and a hub that is killed loses nothing."""
    watch = threading.Timer(STOP_S, os._exit, (0,))
    watch.daemon = True
    watch.start()


@app.command
def once(*, config: Config = None, json_: AsJson = False) -> int:
    """Poll until nothing is pending and everything is embedded, then exit."""
    from recall_daemon.app import open_hub
    from recall_daemon.core import open_core
    from recall_daemon.loop import until_done

    settings = load_settings(config)
    logs.set_level(settings.log_level)

    async def work() -> Json:
        with open_core(settings) as core:
            async with open_hub(core) as hub:
                report = await until_done(hub.poll_as_owner, hub.finish, sleep=asyncio.sleep)
        return {
            "merged": report.merged,
            "changed_rows": report.changed_rows,
            "quarantined": report.quarantined,
            "pending": report.pending,
            "errors": report.errors,
        }

    done = asyncio.run(work())
    print_answer(done, json_, lambda console: console.print(_once_line(done), soft_wrap=True))
    return NOT_NOW if done["pending"] else 0


def _once_line(done: Json) -> str:
    line = (
        f"{done['merged']} snapshots merged, {done['changed_rows']} rows changed, "
        f"{done['quarantined']} quarantined, {done['pending']} pending"
    )
    return f"{line}: {done['errors'][0]}" if done["errors"] else line
