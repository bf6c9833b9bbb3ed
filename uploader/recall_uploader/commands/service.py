"""`recall service …`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from cyclopts import App

from recall_uploader.commands.printing import print_result, print_table, say

if TYPE_CHECKING:
    from recall_wire.service.supervisor import Outcome, Status

_LEFT_TO_YOU = 3

app = App(name="service", help="Let systemd or launchd run the watch and an hourly upload.")


@app.command
def install(
    *, state_dir: Path | None = None, config: Path | None = None, force: bool = False
) -> int:
    """Write the service files of this user, and start them.

    Where the service manager does not answer, the files are there, the exit code is 3, and what
    to run is said.

    Parameters
    ----------
    state_dir
        Where state and outbox lie.
    config
        A YAML settings file.
    force
        Replace files that were changed by hand; they are kept as *.bak.
    """
    from recall_uploader.program import program_path
    from recall_uploader.service.supervisor import supervisor, unit_files
    from recall_uploader.service.units import Start
    from recall_wire.service.program import absolute

    start = Start(program_path(), absolute(config), absolute(state_dir), Path.home())
    outcome = supervisor().install(unit_files(start), force=force)
    return _end(outcome, "written" if outcome.changed else "all files are there already")


@app.command
def uninstall() -> int:
    """Stop the services, and remove their files; one that was changed by hand stays."""
    from recall_uploader.service.supervisor import supervisor

    outcome = supervisor().uninstall()
    for name in outcome.left:
        say(f"{name} was changed by hand, and was left")
    return _end(outcome, "removed" if outcome.changed else "nothing to remove")


@app.command
def status(*, json_: bool = False) -> int:
    """Show which services there are, whether they run, and when they last did.

    Parameters
    ----------
    json_
        Print a JSON list.
    """
    from recall_uploader.service.supervisor import supervisor

    found = supervisor().status()
    if json_:
        rows = [{"name": item.name, "file": item.file, "said": item.said} for item in found]
        print_result(json.dumps(rows))
    else:
        print_table(("service", "file", "state"), [_row(item) for item in found])
    return 0


def _row(item: Status) -> tuple[str, str, str]:
    said = [f"{name}={value}" for name, value in item.said.items()]
    return item.name, item.file, ", ".join(said) or "the service manager does not say"


def _end(outcome: Outcome, done: str) -> int:
    print_result(f"{done}: {', '.join(outcome.changed)}" if outcome.changed else done)
    if outcome.untold is None:
        return 0
    say(f"not done ({outcome.untold.reason}); run: {outcome.untold.to_run}")
    return _LEFT_TO_YOU
