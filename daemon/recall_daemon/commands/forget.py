"""`recalld forget`: take memories out for good."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from recall_daemon.commands.program import AsJson, Config, app, print_answer
from recall_daemon.errors import ForgetRefused
from recall_daemon.memory.criteria import Criteria
from recall_daemon.operations import Json
from recall_daemon.settings import load_settings
from recall_wire.exits import NOT_NOW

Flag = Parameter(negative="")
# A receipt for criteria: with `dry_run` of what would be done, and of rows up to an id if any.
Forget = Callable[[bool, int | None], Json]


@app.command
def forget(
    ids: Annotated[tuple[str, ...], Parameter(negative="")] = (),
    /,
    *,
    system: tuple[str, ...] = (),
    project: tuple[str, ...] = (),
    since: datetime | None = None,
    until: datetime | None = None,
    query: str | None = None,
    rewrite: Annotated[bool, Flag] = False,
    purge: Annotated[bool, Flag] = False,
    dry_run: Annotated[bool, Flag] = False,
    yes: Annotated[bool, Flag] = False,
    json_: AsJson = False,
    config: Config = None,
) -> int:
    """Forget memories for good: later snapshots, restores and replays cannot bring them back.

    Everything that is given must hold; a system or project given twice means either. Prints a
    receipt: what was forgotten, and which objects of the bucket still hold it. Exit 3 where the
    bucket could not be asked.

    Parameters
    ----------
    ids
        SYSTEM/MEMORY_ID, or MEMORY_ID alone where no other system has it.
    query
        Memories whose text holds this word for word, whatever the case and white space.
    rewrite
        Take everything that was forgotten, now or before, out of the bucket, too.
    purge
        Return when no byte of it is left in the data folder. By itself a running daemon does that
        once per purge_interval_s; without one it is always done.
    dry_run
        Only say what would be forgotten, and where it is.
    yes
        Do not ask.
    """
    from recall_daemon.tables import print_receipt

    criteria = Criteria(ids, system, project, since, until, query)
    with _forgetting(criteria, {"rewrite": rewrite, "purge": purge}, config) as forget_:
        upto_row = None if dry_run or yes else _confirm(criteria, rewrite, forget_)
        answer = forget_(dry_run, upto_row)
    print_answer(answer, json_, lambda console: print_receipt(console, answer))
    return NOT_NOW if answer["bucket"] == "pending" else 0


def _confirm(criteria: Criteria, rewrite: bool, forget_: Forget) -> int | None:
    """Ask the person at the terminal; returns the newest row that was counted.

    Without a terminal, ids alone are clear enough.
    """
    if not sys.stdin.isatty():
        if set(criteria.to_json()) == {"ids"}:
            return None
        raise ForgetRefused(
            "nobody is asked here, and this may name more than is meant",
            hint="look with --dry-run, then give --yes",
        )
    told = forget_(True, None)
    where = ", ".join(told["systems"])
    bucket = " and take them, and all that was forgotten before, out of the bucket" * rewrite
    asked = f"Forget {told['forgotten']} memories of {where} for good{bucket}? [y/N] "
    print(asked, end="", file=sys.stderr, flush=True)
    if sys.stdin.readline().strip().lower() not in ("y", "yes"):
        raise ForgetRefused("nothing was forgotten")
    return int(told["last_row_id"])


@contextmanager
def _forgetting(
    criteria: Criteria, flags: dict[str, bool], config: Path | None
) -> Iterator[Forget]:
    """By the daemon that runs; without one, in this process, which also purges the disk."""
    from recall_daemon.remote import find_hub

    settings = load_settings(config)
    hub = find_hub(settings.data_dir)
    if hub is not None:
        body = criteria.to_json() | flags
        yield lambda dry_run, upto_row: hub.forget(
            body | {"dry_run": dry_run, "upto_row": upto_row}
        )
        return
    from recall_daemon.app import open_forgetting
    from recall_daemon.core import open_core

    with open_core(settings) as core, open_forgetting(core) as forgetting:
        rewrite = flags["rewrite"]
        # Nobody else would purge before a daemon runs again.
        yield lambda dry_run, upto_row: forgetting.forget(
            criteria, rewrite=rewrite, dry_run=dry_run, upto_row=upto_row
        )
