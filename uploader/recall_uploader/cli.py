"""The command `recall`.

Exit codes: 0 delivered, or nothing new · 1 unexpected (a disk error, a defect) · 2 refused: bad
input or settings, missing permission, or somebody else's system · 3 queued: not delivered now, it
waits in the outbox, another run holds the state folder, or the source is busy; run it again · 4
pushed to the hub instead of the bucket, which could not be reached · 130 Ctrl-C · 141
whoever read its output has gone.

Results go to standard output, everything else to standard error. Light on purpose: whatever reads
data or settings is imported by the command that needs it.
"""

from __future__ import annotations

import sqlite3
import sys
from collections.abc import Sequence
from importlib.metadata import version

from cyclopts import App, CycloptsError, Parameter

from recall_uploader.commands.doctor import doctor
from recall_uploader.commands.forget import forget
from recall_uploader.commands.hook import app as hook
from recall_uploader.commands.init import init
from recall_uploader.commands.mcp import mcp
from recall_uploader.commands.outbox import app as outbox
from recall_uploader.commands.service import app as service
from recall_uploader.commands.sources import sources
from recall_uploader.commands.status import status
from recall_uploader.commands.upload import upload
from recall_uploader.commands.watch import watch
from recall_wire.errors import RecallError
from recall_wire.exits import (
    INTERRUPTED,
    READER_GONE,
    REFUSED,
    UNEXPECTED,
    code_of,
    is_reader_gone,
    say,
    sentence_of,
)

app = App(
    name="recall",
    help="Send this machine's agent memories to the bucket that a recalld hub reads.",
    version=lambda: version("recalld"),
    help_format="plaintext",
    suppress_keyboard_interrupt=False,
    default_parameter=Parameter(negative=()),
)
app.command(upload)
app.command(forget)
app.command(init)
app.command(watch)
app.command(mcp)
app.command(outbox)
app.command(hook)
app.command(service)
app.command(status)
app.command(sources)
app.command(doctor)


def main() -> None:
    sys.exit(run(sys.argv[1:]))


def run(arguments: Sequence[str]) -> int:
    """Run one command line and return its exit code; what a person can cause is one sentence."""
    try:
        code = app(
            list(arguments), exit_on_error=False, print_error=False, result_action="return_value"
        )
        sys.stdout.flush()
    except CycloptsError as error:
        return say("recall", str(error), REFUSED)
    except (RecallError, OSError, SystemExit) as error:
        if is_reader_gone(error):
            return READER_GONE
        if isinstance(error, SystemExit):
            raise
        return say("recall", sentence_of(error), code_of(error))
    except sqlite3.Error as error:
        return say("recall", f"the state file: {error}", UNEXPECTED)
    except KeyboardInterrupt:
        return say("recall", "interrupted; the next run goes on from here", INTERRUPTED)
    return code if isinstance(code, int) else 0
