"""`recalld service`: the hub run by systemd or launchd."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Annotated

from cyclopts import App, Parameter

from recall_daemon.commands.program import AsJson, Config, app
from recall_daemon.settings import load_settings
from recall_wire.exits import NOT_NOW

if TYPE_CHECKING:
    from recall_wire.service.supervisor import Outcome

System = Annotated[
    bool,
    Parameter(
        name="--system",
        negative="--user",
        help="A service of the system (needs root) instead of one of this user.",
    ),
]

service = App(name="service", help="Let systemd or launchd run the hub.")
app.command(service)


@service.command
def install(
    *,
    system: System = False,
    as_: Annotated[str, Parameter(name="--as")] = "recalld",
    dry_run: Annotated[bool, Parameter(name="--dry-run", negative="")] = False,
    force: Annotated[bool, Parameter(name="--force", negative="")] = False,
    config: Config = None,
) -> int:
    """Write the service file, enable it and start it.

    It starts this very program with this settings file. Settings in the environment go into a file
    beside that only its owner can read. Where the service manager does not answer, the files are
    there, the exit code is 3, and what to run is said.

    Parameters
    ----------
    as_
        Which user runs a service of the system.
    dry_run
        Only show what would be written.
    force
        Replace a service file that was changed by hand; it is kept as *.bak.
    """
    from recall_daemon.service import environment
    from recall_daemon.service.install import place, start_of

    settings = load_settings(config)
    where = place(is_system=system)
    start = start_of(settings, config, where, as_)
    if dry_run:
        names = ", ".join(environment.of_this_shell()) or "nothing"
        print(f"{where.environment}: {names}\n{where.file}:\n{where.text(start)}", end="")
        return 0
    outcome = where.install(start, force=force)
    if where.ends_with_the_session():
        _say("it ends when you log out, unless you run `loginctl enable-linger` once")
    return _end(outcome, f"written: {where.file}" if outcome.changed else "it is there already")


@service.command
def uninstall(*, system: System = False) -> int:
    """Stop the service and remove its file; the data, and the file with variables, stay."""
    from recall_daemon.service.install import place

    where = place(is_system=system)
    outcome = where.uninstall()
    for name in outcome.left:
        _say(f"{name} was changed by hand, and was left")
    return _end(outcome, f"removed: {where.file}" if outcome.changed else "nothing to remove")


@service.command
def status(*, system: System = False, json_: AsJson = False) -> int:
    """Whether the service is there, and what the service manager says of it."""
    from recall_daemon.service.install import place

    where = place(is_system=system)
    found = where.status()
    if json_:
        print(json.dumps({"file": str(where.file), "state": found.file, "said": found.said}))
        return 0
    said = ", ".join(f"{name}={value}" for name, value in found.said.items())
    print(f"{where.file}: {found.file}; {said or 'the service manager does not say'}")
    return 0


def _end(outcome: Outcome, done: str) -> int:
    print(done)
    if outcome.untold is None:
        return 0
    _say(f"not done ({outcome.untold.reason}); run: {outcome.untold.to_run}")
    return NOT_NOW


def _say(sentence: str) -> None:
    print(f"recalld: {sentence}", file=sys.stderr)
