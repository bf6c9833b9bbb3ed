"""The command `recalld` and its subcommands.

Exit codes: 0 done · 1 `verify` found a problem, or something unexpected · 2 refused: bad input,
settings, permission · 3 `once` ended with something still pending · 130 interrupted.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from importlib.metadata import version
from pathlib import Path
from typing import Annotated

import structlog
from cyclopts import App, CycloptsError, Parameter
from rich.console import Console

from recall_daemon.operations import HubApi, Json
from recall_daemon.settings import load_settings
from recall_wire.errors import RecallError

UNEXPECTED, REFUSED, PENDING, INTERRUPTED = 1, 2, 3, 130

app = App(
    name="recalld",
    help="The hub: pulls memories from a bucket, merges and embeds them, answers searches.",
    version=lambda: version("recalld"),
    help_format="plaintext",
    suppress_keyboard_interrupt=False,
)
quarantine = App(name="quarantine", help="Snapshots that could not be read.")
app.command(quarantine)

Config = Annotated[Path | None, Parameter(name="--config", help="A YAML settings file.")]
AsJson = Annotated[bool, Parameter(name="--json", negative="", help="Print JSON.")]


def main() -> None:
    """Entry point: one sentence for what a person can mend, never a traceback for bad input."""
    _set_up_logging()
    sys.exit(_run(sys.argv[1:]))


def _run(arguments: Sequence[str]) -> int:
    try:
        code = app(
            list(arguments), exit_on_error=False, print_error=False, result_action="return_value"
        )
        sys.stdout.flush()
    except (CycloptsError, RecallError) as error:
        return _say(str(error), REFUSED)
    except OSError as error:
        reason = error.strerror or type(error).__name__
        denied = isinstance(error, (PermissionError, FileExistsError, NotADirectoryError))
        code = REFUSED if denied or isinstance(error, FileNotFoundError) else UNEXPECTED
        return _say(f"{error.filename}: {reason}" if error.filename else reason, code)
    except KeyboardInterrupt:
        return INTERRUPTED
    return code if isinstance(code, int) else 0


def _say(sentence: str, code: int) -> int:
    print(f"recalld: {' '.join(sentence.split())}", file=sys.stderr)
    return code


@app.command
def run(*, config: Config = None) -> None:
    """Run the hub: poll, merge, embed and serve until it is told to stop."""
    from recall_daemon.daemon import run as run_daemon

    settings = load_settings(config)

    async def work() -> None:
        await run_daemon(
            settings, announce=lambda url: print(f"recalld answers at {url}", flush=True)
        )
        # The store is closed and everything committed. A thread that still embeds or loads a model
        # has nothing to lose, and waiting for it would take a minute.
        sys.stdout.flush()
        os._exit(0)

    asyncio.run(work())


@app.command
def once(*, config: Config = None, json_: AsJson = False) -> int:
    """Poll until nothing is pending and everything is embedded, then exit."""
    from recall_daemon.app import open_core, open_hub
    from recall_daemon.loop import until_done

    settings = load_settings(config)

    async def work() -> Json:
        with open_core(settings) as core:
            async with open_hub(core) as hub:
                report = await until_done(hub.poll, hub.finish, sleep=asyncio.sleep)
        return {
            "merged": report.merged,
            "changed_rows": report.changed_rows,
            "quarantined": report.quarantined,
            "pending": report.pending,
            "errors": report.errors,
        }

    done = asyncio.run(work())
    _print(done, json_, lambda console: console.print(_once_line(done), soft_wrap=True))
    return PENDING if done["pending"] else 0


@app.command
def search(
    query: str,
    *,
    system: tuple[str, ...] = (),
    project: tuple[str, ...] = (),
    kind: tuple[str, ...] = (),
    session: tuple[str, ...] = (),
    tag: tuple[str, ...] = (),
    since: datetime | None = None,
    until: datetime | None = None,
    limit: int = 10,
    json_: AsJson = False,
    config: Config = None,
) -> None:
    """Search every memory by words and meaning. A filter given twice means either."""
    from recall_daemon.search.query import SearchRequest
    from recall_daemon.tables import print_hits

    request = SearchRequest(query, system, project, kind, session, tag, since, until, limit)
    with _hub(config) as hub:
        answer = hub.search(request)
    _print(answer, json_, lambda console: print_hits(console, answer))


@app.command
def status(*, json_: AsJson = False, config: Config = None) -> None:
    """Rows, backlog, and where each system stands."""
    from recall_daemon.tables import print_status

    with _hub(config) as hub:
        answer = hub.status()
    _print(answer, json_, lambda console: print_status(console, answer))


@app.command
def systems(*, json_: AsJson = False, config: Config = None) -> None:
    """Each system: complete to N, missing, quarantined, rows, lag."""
    from recall_daemon.tables import print_systems

    with _hub(config) as hub:
        answer = hub.systems()
    _print(answer, json_, lambda console: print_systems(console, answer))


@app.command
def verify(*, json_: AsJson = False, config: Config = None) -> int:
    """Prove the store against itself, its ledger and the index."""
    from recall_daemon.tables import print_fields

    with _hub(config) as hub:
        answer = hub.verify()
    _print(answer, json_, lambda console: print_fields(console, answer))
    return 0 if answer["ok"] else 1


@quarantine.command(name="list")
def list_(*, json_: AsJson = False, config: Config = None) -> None:
    """What is in quarantine, and why."""
    from recall_daemon.tables import print_quarantine

    with _hub(config) as hub:
        answer = hub.quarantine_list()
    _print(answer, json_, lambda console: print_quarantine(console, answer))


@quarantine.command
def show(
    system: str, seq: int, *, sub: int = 0, json_: AsJson = False, config: Config = None
) -> None:
    """One snapshot in quarantine."""
    _on_place("show", system, seq, sub, json_=json_, config=config)


@quarantine.command
def retry(
    system: str, seq: int, *, sub: int = 0, json_: AsJson = False, config: Config = None
) -> None:
    """Read a snapshot again at the next poll."""
    _on_place("retry", system, seq, sub, json_=json_, config=config)


@quarantine.command
def drop(
    system: str, seq: int, *, sub: int = 0, json_: AsJson = False, config: Config = None
) -> None:
    """Give a snapshot up; its objects stay in the bucket."""
    _on_place("drop", system, seq, sub, json_=json_, config=config)


def _on_place(
    action: str, system: str, seq: int, sub: int, *, json_: bool, config: Path | None
) -> None:
    from recall_daemon.store.ledger import Place
    from recall_daemon.tables import print_fields

    with _hub(config) as hub:
        answer: Json = getattr(hub, f"quarantine_{action}")(Place(system, seq, sub))
    _print(answer, json_, lambda console: print_fields(console, answer))


@contextmanager
def _hub(config: Path | None) -> Iterator[HubApi]:
    """The daemon that runs on the data folder, through its port; without one, the store itself."""
    from recall_daemon.lock import running_at

    settings = load_settings(config)
    url = running_at(settings.data_dir)
    if url is not None:
        from recall_daemon.remote import RemoteHub

        yield RemoteHub(url)
        return
    from recall_daemon.app import open_core

    with open_core(settings) as core:
        core.embedder.get()
        core.follow()
        yield core.operations


def _print(answer: Json, as_json: bool, table: Callable[[Console], None]) -> None:
    if as_json:
        print(json.dumps(answer, ensure_ascii=False))
    else:
        table(Console(highlight=False))


def _once_line(done: Json) -> str:
    line = (
        f"{done['merged']} snapshots merged, {done['changed_rows']} rows changed, "
        f"{done['quarantined']} quarantined, {done['pending']} pending"
    )
    return f"{line}: {done['errors'][0]}" if done["errors"] else line


def _set_up_logging() -> None:
    """One event a line on standard error; JSON where nobody watches."""
    terminal = sys.stderr.isatty()
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            # Without the frames' variables: they may hold memories or credentials.
            structlog.processors.format_exc_info,
            structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)
            if terminal
            else structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
