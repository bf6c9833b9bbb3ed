"""What both programs end with, and that whoever stops reading is told nothing."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from recall_wire.errors import BucketUnreachable, RecallError, SettingsInvalid
from recall_wire.exits import READER_GONE, code_of, say, sentence_of

BIN = Path(sys.executable).parent


@pytest.mark.parametrize(
    ("error", "code", "sentence"),
    [
        (BucketUnreachable("no answer", hint="try again"), 3, "no answer; try again"),
        (SettingsInvalid("no such key"), 2, "no such key"),
        (PermissionError(13, "Permission denied", "/state"), 2, "/state: Permission denied"),
        (OSError(28, "No space left on device"), 1, "No space left on device"),
        (RecallError("only a new process can do better"), 1, "only a new process can do better"),
    ],
)
def test_the_code_says_whether_to_try_again(error: Exception, code: int, sentence: str) -> None:
    assert (code_of(error), sentence_of(error)) == (code, sentence)


def test_it_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert say("recall", "two\nlines", 7) == 7
    assert capsys.readouterr().err == "recall: two lines\n"


def unread(*command: str | Path) -> tuple[int, str]:
    """A program whose standard output nobody reads; how it ends, and what it complains of."""
    reading, writing = os.pipe()
    os.close(reading)
    try:
        done = subprocess.run(
            command, stdout=writing, stderr=subprocess.PIPE, text=True, check=False
        )
    finally:
        os.close(writing)
    return done.returncode, done.stderr


PRINTS = """
import sys
from cyclopts import App
from {program} import {name} as program
app = program.app = App()

@app.command
def lines():
    for number in range(100_000):
        print(number)

@app.command
def table():
    from rich.console import Console
    for number in range(1_000):
        Console().print(number)

@app.command
def away():
    raise BrokenPipeError(32, "Broken pipe")

program.main()
"""
RECALL = PRINTS.format(program="recall_uploader", name="cli")
RECALLD = PRINTS.format(program="recall_daemon.commands", name="program")


@pytest.mark.parametrize(
    ("script", "command"), [(RECALL, "lines"), (RECALLD, "lines"), (RECALLD, "table")]
)
def test_a_reader_that_has_gone_is_told_nothing(script: str, command: str) -> None:
    assert READER_GONE == 128 + signal.SIGPIPE
    assert unread(sys.executable, "-c", script, command) == (READER_GONE, "")


def test_a_pipe_that_is_not_the_output_is_an_error() -> None:
    command = [sys.executable, "-c", RECALL, "away"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr.partition(": ")[2]) == (1, "Broken pipe\n")


@pytest.mark.parametrize("program", ["recall", "recalld"])
def test_the_installed_programs_do_so(program: str) -> None:
    assert unread(BIN / program, "--help") == (READER_GONE, "")
