"""The console script `recall`: the session-end hook without the price of the other commands."""

from __future__ import annotations

import os
import sys

_HELP = ("-h", "--help")


def main() -> None:
    arguments = sys.argv[1:]
    if arguments[:2] == ["hook", "session-end"] and not any(a in _HELP for a in arguments):
        end_session(arguments[2:])
    from recall_uploader.cli import main as run

    run()


def end_session(arguments: list[str]) -> None:
    """Never returns, never fails: a session must end whatever happens here."""
    try:
        from recall_uploader.hook.session_end import session_end

        session_end(arguments, dict(os.environ))
    except BaseException as error:  # also Ctrl-C, and a module that is gone after an update
        _say(error)
    # Not sys.exit: with its output closed, the interpreter's own end can fail.
    os._exit(0)


def _say(error: BaseException) -> None:
    reason = str(error) or type(error).__name__
    if isinstance(error, OSError) and error.strerror:
        reason = f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    line = f"recall: the session's end started no upload: {' '.join(reason.split())}\n"
    try:
        os.write(2, line.encode(errors="backslashreplace"))
    except OSError:
        return  # nobody reads it
