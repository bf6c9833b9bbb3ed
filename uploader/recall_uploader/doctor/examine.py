"""All checks, side by side, in the order they are shown."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from recall_uploader.app import Instance, build
from recall_uploader.deadline import Deadline
from recall_uploader.doctor import bucket, hub, machine, sources, starters
from recall_uploader.doctor.look import CALL_S, Look
from recall_uploader.settings import UploaderSettings
from recall_wire.doctor.finding import Finding, problem, warning
from recall_wire.doctor.within import within

LIMIT_S = 30.0
_Group = Callable[[Look], Iterator[Finding]]
_GROUPS: tuple[tuple[str, _Group], ...] = (
    ("settings", machine.settings),
    ("state", machine.state_folder),
    ("source", sources.sources),
    ("outbox", machine.outbox),
    ("bucket", bucket.bucket),
    ("identity", bucket.identity),
    ("hub", hub.hub),
    ("hook", starters.starters),
)


def impatient(settings: UploaderSettings) -> Instance:
    """An instance whose calls give up soon: who looks is waiting for the answer."""
    hurried = min(settings.upload_timeout_s, 4 * CALL_S)  # a quarter of it bounds one call
    return build(settings.model_copy(update={"upload_timeout_s": hurried}))


def examine(
    instance: Instance, settings_file: Path | None = None, *, limit_s: float = LIMIT_S
) -> list[Finding]:
    """Changes nothing but for what it puts under `systems/<id>/doctor/` and removes again.

    What is not known after `limit_s` is a problem. Without the state folder's lock.
    """
    deadline = Deadline.after(limit_s, instance.monotonic)
    look = Look(instance, settings_file, deadline)
    found = within(deadline, [partial(_collect, *named, look) for named in _GROUPS])
    return [
        item
        for (name, _), answer in zip(_GROUPS, found, strict=True)
        for item in (answer if answer is not None else [_too_slow(name, limit_s)])
    ]


def _collect(name: str, group: _Group, look: Look) -> list[Finding]:
    """A disk that fails, or a file that is moved while it is looked at, ends this group alone."""
    found: list[Finding] = []
    try:
        found.extend(group(look))
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        reason = error.strerror or type(error).__name__
        found.append(warning(name, f"{where}{reason}", "see to its rights, and to the disk"))
    except sqlite3.Error as error:
        found.append(warning(name, f"the state file: {error}", "see to the disk"))
    return found


def _too_slow(name: str, limit_s: float) -> Finding:
    return problem(
        name,
        f"there was no answer within {limit_s:g} s",
        "something hangs: a network drive, the network, or a very large source",
    )
