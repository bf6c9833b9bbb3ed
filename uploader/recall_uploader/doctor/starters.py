"""What starts uploads by itself: the agent's hook, the services. Neither has to be there."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress

from recall_uploader.doctor.look import Look
from recall_uploader.hook.claude_code import settings_path
from recall_uploader.hook.install import is_installed
from recall_uploader.hook.settings_file import SettingsFile
from recall_uploader.service.supervisor import supervisor
from recall_wire.doctor.finding import Finding, failed, note, ok
from recall_wire.errors import RecallError
from recall_wire.service.supervisor import Done

_NOT_ASKED = Done(127)


def starters(look: Look) -> Iterator[Finding]:
    yield _hook(look)
    yield from _service()


def _hook(look: Look) -> Finding:
    path = settings_path(os.environ)
    try:
        if not is_installed(SettingsFile(path)):
            return note(
                "hook", f"no hook in {path}", "`recall hook install claude-code` puts it in"
            )
    except RecallError as error:
        return failed("hook", error, "note")
    if not look.instance.settings.upload_on_session_end:
        return note("hook", f"in {path}, and upload_on_session_end is false: it uploads nothing")
    return ok("hook", f"a session's end starts an upload ({path})")


def _service() -> Iterator[Finding]:
    """Only whether its files are there: the service manager is not asked."""
    with suppress(RecallError, OSError):
        files = supervisor(lambda command: _NOT_ASKED).status()
        there = [item.name for item in files if item.file == "installed"]
        if there:
            yield ok("service", f"{', '.join(there)} installed; `recall service status` says more")
        else:
            yield note(
                "service",
                "no service watches the sources",
                "`recall service install` makes one; the hook alone uploads at a session's end",
            )
