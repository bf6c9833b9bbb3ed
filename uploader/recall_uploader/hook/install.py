"""`recall hook install` and `uninstall`: our hook into an agent's settings, and out of them."""

from __future__ import annotations

from dataclasses import dataclass

from recall_uploader.hook import claude_code
from recall_uploader.hook.json_text import JsonRefused, parse
from recall_uploader.hook.settings_file import SettingsFile, refused

_NEW = "{}\n"


@dataclass(frozen=True, slots=True)
class Outcome:
    """`note`: what a person should know beside whether something changed."""

    changed: bool
    note: str = ""


def install(file: SettingsFile, command: str) -> Outcome:
    """Idempotent. Raises `SettingsInvalid`, with the file as it was."""
    before = file.read()
    text = _NEW if before is None else before
    try:
        after = claude_code.installed(text, command)
        note = _note_on(after)
    except JsonRefused as error:
        raise refused(file.path, str(error)) from error
    if after == before:
        return Outcome(False, note)
    file.write(before, after)
    return Outcome(True, note)


def uninstall(file: SettingsFile) -> Outcome:
    """Idempotent. Raises `SettingsInvalid`, with the file as it was."""
    before = file.read()
    if before is None:
        return Outcome(False)
    try:
        after = claude_code.uninstalled(before, _without_us(file))
        left = claude_code.find(parse(after))
    except JsonRefused as error:
        raise refused(file.path, str(error)) from error
    if after != before:
        file.write(before, after)
    note = f"left, since it does more than ours: {left[0].command}" if left else ""
    return Outcome(after != before, note)


def is_installed(file: SettingsFile) -> bool:
    """Raises `SettingsInvalid`."""
    text = file.read()
    try:
        return text is not None and bool(claude_code.find(parse(text)))
    except JsonRefused as error:
        raise refused(file.path, str(error)) from error


def _without_us(file: SettingsFile) -> str | None:
    """The newest backup from before our hook; None: there is none, the file was ours."""
    for path in file.backups():
        try:
            text = path.read_bytes().decode()
            if not claude_code.find(parse(text)):
                return text
        except (OSError, ValueError):
            continue
    return None


def _note_on(text: str) -> str:
    root = parse(text)
    off = root.member("disableAllHooks")
    if off is not None and off.value is True:
        return "the settings turn all hooks off: disableAllHooks is true"
    theirs = [item.command for item in claude_code.find(root) if not item.whole]
    return f"a command of yours starts it already, and was left: {theirs[0]}" if theirs else ""
