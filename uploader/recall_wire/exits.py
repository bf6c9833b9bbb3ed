"""How both programs end: the exit code, and one sentence on standard error."""

from __future__ import annotations

import os
import select
import sys
from typing import Final

from recall_wire.errors import RecallError, TerminalError, TransientError

UNEXPECTED: Final = 1
REFUSED: Final = 2
NOT_NOW: Final = 3
INTERRUPTED: Final = 130
READER_GONE: Final = 141  # what a shell says of a program that SIGPIPE ended

# A person can mend these: a path or a right.
_REFUSED = (FileNotFoundError, FileExistsError, NotADirectoryError, PermissionError)


def code_of(error: Exception) -> int:
    """`REFUSED` until somebody changes something, `NOT_NOW` where the same call may succeed later,
    else `UNEXPECTED`."""
    if isinstance(error, TransientError):
        return NOT_NOW
    return REFUSED if isinstance(error, (TerminalError, *_REFUSED)) else UNEXPECTED


def sentence_of(error: Exception) -> str:
    """What to tell a person; of the system's errors the reason, with its path."""
    if isinstance(error, RecallError) or not isinstance(error, OSError):
        return str(error)
    reason = error.strerror or type(error).__name__
    return f"{error.filename}: {reason}" if error.filename else reason


def say(program: str, sentence: str, code: int) -> int:
    """One line on standard error; returns `code`."""
    print(f"{program}: {' '.join(sentence.split())}", file=sys.stderr)
    return code


def is_reader_gone(error: BaseException) -> bool:
    """Whether a command ended because nobody reads its output any more, as in `recall … | head`.

    Where so, what is still in the output's buffer goes nowhere, or the interpreter's end would
    complain. Rich, which prints the tables, has done that by itself and exits.
    """
    if isinstance(error, SystemExit):
        return isinstance(error.__context__, BrokenPipeError)
    if not isinstance(error, BrokenPipeError) or not _has_no_reader(sys.stdout.fileno()):
        return False
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return True


def _has_no_reader(descriptor: int) -> bool:
    poll = select.poll()
    poll.register(descriptor, 0)
    return any(said & (select.POLLERR | select.POLLHUP) for _, said in poll.poll(0))
