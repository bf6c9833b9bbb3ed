"""What an agent calls when a session ends: leave a note, see that one process reads it.

Imported before anything else of `recall`, so only what the interpreter has loaded anyway, and
`fcntl` and `select`: each module more makes every session end later.
"""

from __future__ import annotations

import os
import select
import sys
import time

from recall_uploader.hook.detach import start_worker
from recall_uploader.hook.request import write_request

# The agent writes a few hundred bytes at once. What comes later or beyond is not waited for.
KEPT_BYTES = 1 << 16
PATIENCE_S = 0.05
_MADE_ABSOLUTE = ("RECALL_CONFIG", "RECALL_SOURCE", "RECALL_STATE_DIR")


def session_end(arguments: list[str], environment: dict[str, str]) -> None:
    """Returns as soon as the note is written and a worker runs that will find it.

    Raises `OSError` where the folder cannot be written: then nothing was started.
    """
    os.umask(0o077)
    _open_standard_streams()
    said = read_input(0, time.monotonic() + PATIENCE_S)
    options = _options(arguments)
    if state_dir := options.get("--state-dir"):
        environment["RECALL_STATE_DIR"] = state_dir
    _make_absolute(environment)
    folder = hook_folder(environment)
    config = options.get("--config", "")
    os.makedirs(folder, mode=0o700, exist_ok=True)
    write_request(folder, os.path.abspath(os.path.expanduser(config)) if config else "", said)
    start_worker(folder, environment)


def hook_folder(environment: dict[str, str]) -> str:
    """Beside the state, where RECALL_STATE_DIR or the default says that it lies: the settings
    file is not read here."""
    state = environment.get("RECALL_STATE_DIR") or default_state_folder(environment)
    folder = os.path.join(os.path.expanduser(state), "hook")
    if not os.path.isabs(folder):
        raise OSError("there is no home folder; set RECALL_STATE_DIR")
    return folder


def default_state_folder(environment: dict[str, str]) -> str:
    """As in the settings, which are too slow to load here; a test holds the two together."""
    if data := environment.get("XDG_DATA_HOME"):
        return os.path.join(data, "recall")
    if sys.platform == "darwin":
        return os.path.expanduser("~/Library/Application Support/recall")
    return os.path.expanduser("~/.local/share/recall")


def read_input(descriptor: int, until_s: float) -> bytes:
    """What can be read before `until_s` on the monotonic clock; at most `KEPT_BYTES` are kept.

    More is read and dropped, so that its writer is not told of a broken pipe. Never raises for
    what a descriptor can be: closed, a terminal, write-only.
    """
    kept = b""
    try:
        while not os.isatty(descriptor):
            left_s = until_s - time.monotonic()
            if left_s <= 0 or not select.select([descriptor], [], [], left_s)[0]:
                break
            data = os.read(descriptor, KEPT_BYTES)
            if not data:
                break
            kept += data[: KEPT_BYTES - len(kept)]
    except OSError:
        pass
    return kept


def _options(arguments: list[str]) -> dict[str, str]:
    """`--name VALUE` and `--name=VALUE`; what is unknown is for a version to come."""
    found: dict[str, str] = {}
    for place, argument in enumerate(arguments):
        name, equals, value = argument.partition("=")
        if name in ("--state-dir", "--config"):
            found[name] = value if equals else "".join(arguments[place + 1 : place + 2])
    return found


def _make_absolute(environment: dict[str, str]) -> None:
    """The worker does not stay in this folder."""
    for name in _MADE_ABSOLUTE:
        if value := environment.get(name):
            environment[name] = os.path.abspath(os.path.expanduser(value))


def _open_standard_streams() -> None:
    """Else the next file opened would take a closed one's number, and be taken for it."""
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= 2:
        pass
    os.close(descriptor)
