"""`recall outbox …`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from cyclopts import App

from recall_uploader.commands.printing import print_result, print_table, warn
from recall_uploader.commands.upload import deliver_with
from recall_wire.sizes import bytes_text

if TYPE_CHECKING:
    from recall_uploader.app import Instance
    from recall_uploader.outbox_run import Item
    from recall_uploader.result import UploadResult

app = App(name="outbox", help="Look at what waits to be sent, send it, or take it out.")


@app.command(name="list")
def list_(*, json_: bool = False, config: Path | None = None) -> int:
    """Show the snapshots that wait, and those that were taken out.

    Parameters
    ----------
    json_
        Print a JSON list.
    config
        A YAML settings file.
    """
    from recall_uploader.app import build
    from recall_uploader.outbox_run import items
    from recall_uploader.settings import load_settings

    found = items(build(load_settings(config)))
    if json_:
        print_result(json.dumps([item.as_dict() for item in found]))
    elif not found:
        print_result("the outbox is empty")
    else:
        head = ("snapshot", "where", "kind", "rows", "size", "spooled", "")
        print_table(head, [_row(item) for item in found])
    return 0


@app.command
def drain(*, json_: bool = False, config: Path | None = None) -> int:
    """Send what waits, without looking at any source.

    Parameters
    ----------
    json_
        Print the result as one JSON object.
    config
        A YAML settings file.
    """

    def run(instance: Instance) -> UploadResult:
        from recall_uploader.outbox_run import drain as run_drain

        return run_drain(instance)

    return deliver_with(run, json_=json_, config=config)


@app.command
def show(seq: int, *, config: Path | None = None) -> int:
    """Print a snapshot's manifest.

    Parameters
    ----------
    seq
        Its number.
    config
        A YAML settings file.
    """
    from recall_uploader.app import build
    from recall_uploader.outbox_run import manifest_of
    from recall_uploader.settings import load_settings

    manifest = manifest_of(build(load_settings(config)), seq)
    print_result(json.dumps(manifest.model_dump(mode="json"), indent=2))
    return 0


@app.command
def discard(*seqs: int, config: Path | None = None) -> int:
    """Take snapshots out: their numbers are committed as void, their files lie in failed/.

    Parameters
    ----------
    seqs
        Their numbers.
    config
        A YAML settings file.
    """
    from recall_uploader.app import build
    from recall_uploader.outbox_run import take_out
    from recall_uploader.settings import load_settings
    from recall_wire.errors import SettingsInvalid

    if not seqs:
        raise SettingsInvalid("no snapshot is named", hint="give one or more numbers")
    taken = take_out(build(load_settings(config)), seqs)
    warn(["what their sources still hold is sent again by the next upload"])
    print_result(f"taken out: {', '.join(map(str, taken))}")
    return 0


def _row(item: Item) -> tuple[str, ...]:
    spooled = f"{item.created_at:%Y-%m-%d %H:%M}" if item.created_at else ""
    note = item.reason or ("the hub has it" if item.pushed else "")
    return (
        str(item.seq),
        item.where,
        item.kind,
        str(item.rows),
        bytes_text(item.bytes),
        spooled,
        note,
    )
