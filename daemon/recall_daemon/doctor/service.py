"""Whether a service runs the hub."""

from __future__ import annotations

from collections.abc import Iterator

from recall_daemon.doctor.look import Look
from recall_daemon.service.install import place
from recall_wire.doctor.finding import Finding, note, ok, warning
from recall_wire.errors import RecallError

_RUNNING = ("active", "activating", "reloading", "running")


def service(look: Look) -> Iterator[Finding]:
    for is_system in (False, True):
        try:
            found = place(is_system=is_system).status()
        except RecallError as error:
            yield note("service", error.message, error.hint)
            return
        if found.file == "absent":
            continue
        state = found.said.get("ActiveState") or found.said.get("state")
        whose = "of the system" if is_system else "of this user"
        if state is None or state in _RUNNING:
            said = state or "the service manager does not say whether it runs"
            yield ok("service", f"{found.name} {whose}: {said}")
        else:
            remedy = "`systemctl status` and `journalctl` with its name say why; `recalld doctor`"
            yield warning("service", f"{found.name} {whose} is {state}", remedy)
        return
    yield note("service", "none starts the hub", "`recalld service install` makes one")
