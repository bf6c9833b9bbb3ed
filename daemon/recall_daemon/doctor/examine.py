"""All checks, side by side, in the order they are shown."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from functools import partial

from recall_daemon.doctor import bucket, fleet, machine, model, port, service
from recall_daemon.doctor.look import Limit, Look, opened
from recall_wire.doctor.finding import Finding, problem, warning
from recall_wire.doctor.within import within

LIMIT_S = 60.0
_Group = Callable[[Look], Iterator[Finding]]
_GROUPS: tuple[tuple[str, _Group], ...] = (
    ("settings", machine.settings),
    ("data", machine.data_folder),
    ("limits", machine.limits),
    ("store", fleet.store),
    ("bucket", bucket.bucket),
    ("backup", bucket.backups),
    ("log", bucket.log),
    ("model", model.model),
    ("port", port.port),
    ("tokens", port.tokens),
    ("systems", fleet.systems),
    ("jobs", fleet.jobs),
    ("service", service.service),
)


def examine(bare: Look, *, limit_s: float = LIMIT_S) -> list[Finding]:
    """Changes nothing but for what it puts under `hub/doctor/` and removes again.

    What is not known after `limit_s` is a problem.
    """
    with opened(bare) as look:
        works = [partial(_collect, *named, look) for named in _GROUPS]
        found = within(Limit(time.monotonic() + limit_s), works)
    by_group = {
        name: answer if answer is not None else [_too_slow(name, limit_s)]
        for (name, _), answer in zip(_GROUPS, found, strict=True)
    }
    wrong = [item for item in by_group.get("bucket", []) if item.level == "problem"]
    return [
        item
        for name, items in by_group.items()
        for item in items
        if name == "bucket" or not _follows(item, wrong)
    ]


def _follows(item: Finding, wrong: list[Finding]) -> bool:
    """Whether it only says once more what is wrong with the bucket."""
    of_bucket = item.check in ("bucket", "backup")
    return any(of_bucket or one.says in item.says for one in wrong)


def _collect(name: str, group: _Group, look: Look) -> list[Finding]:
    """A disk that fails, or a file that goes while it is looked at, ends this group alone."""
    found: list[Finding] = []
    try:
        found.extend(group(look))
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        reason = error.strerror or type(error).__name__
        found.append(warning(name, f"{where}{reason}", "see to its rights, and to the disk"))
    return found


def _too_slow(name: str, limit_s: float) -> Finding:
    return problem(
        name,
        f"there was no answer within {limit_s:g} s",
        "something hangs: the network, a network drive, or the hub itself",
    )
