"""The console script: the hook is light, everything else is the command line."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from recall_uploader import entry

SCRIPT = Path(sys.executable).with_name("recall")
OWN = {
    "recall_uploader",
    "recall_uploader.entry",
    "recall_uploader.hook",
    "recall_uploader.hook.detach",
    "recall_uploader.hook.request",
    "recall_uploader.hook.session_end",
}


def modules(*arguments: str | Path, **environment: str) -> set[str]:
    done = subprocess.run(
        [sys.executable, "-X", "importtime", *arguments],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | environment,
    )
    return set(re.findall(r"^import time:.*\| +(\S+)$", done.stderr, re.MULTILINE))


def test_the_hook_loads_nothing_but_what_it_must(tmp_path: Path) -> None:
    # A folder that cannot be: the line is written, no worker is started.
    call = "import sys; sys.argv[1:] = ['hook', 'session-end']; "
    call += "from recall_uploader.entry import main; main()"
    loaded = modules("-c", call, RECALL_STATE_DIR="/dev/null/state")
    assert loaded - modules("-c", "pass") == OWN | {"__future__", "fcntl", "select"}


def test_everything_else_is_the_command_line() -> None:
    done = subprocess.run([SCRIPT, "--version"], capture_output=True, text=True, check=True)
    assert re.fullmatch(r"\d+\.\d+\.\d+\S*\n", done.stdout)
    wrong = subprocess.run([SCRIPT, "hook"], capture_output=True, text=True, check=False)
    assert "Traceback" not in wrong.stderr


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (KeyboardInterrupt(), "KeyboardInterrupt"),
        (MemoryError(), "MemoryError"),
        (ImportError("no module\nnamed x"), "no module named x"),
        (OSError(28, "No space left on device", "/state/x"), "/state/x: No space left on device"),
        (OSError("there is\udc80 no home"), "there is\\udc80 no home"),
    ],
)
def test_whatever_fails_is_one_line_and_exit_code_0(
    error: BaseException,
    says: str,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    codes: list[int] = []

    def fails(*_: object) -> None:
        raise error

    monkeypatch.setattr("recall_uploader.hook.session_end.session_end", fails)
    monkeypatch.setattr("os._exit", codes.append)

    entry.end_session([])

    assert codes == [0]
    assert capfd.readouterr().err == f"recall: the session's end started no upload: {says}\n"
