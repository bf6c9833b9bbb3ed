"""`recalld quarantine`: snapshots that could not be read."""

from __future__ import annotations

from pathlib import Path

from cyclopts import App

from recall_daemon.commands.program import AsJson, Config, app, open_hub_api, print_answer
from recall_daemon.operations import Json

quarantine = App(name="quarantine", help="Snapshots that could not be read.")
app.command(quarantine)


@quarantine.command(name="list")
def list_(*, json_: AsJson = False, config: Config = None) -> None:
    """What is in quarantine, and why."""
    from recall_daemon.tables import print_quarantine

    with open_hub_api(config) as hub:
        answer = hub.quarantine_list()
    print_answer(answer, json_, lambda console: print_quarantine(console, answer))


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

    with open_hub_api(config) as hub:
        answer: Json = getattr(hub, f"quarantine_{action}")(Place(system, seq, sub))
    print_answer(answer, json_, lambda console: print_fields(console, answer))
