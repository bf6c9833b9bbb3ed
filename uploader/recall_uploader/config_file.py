"""The settings file, changed by a few keys; everything else in it stays, comments too."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from recall_uploader.durable import sync_folder
from recall_wire.errors import SettingsInvalid
from recall_wire.settings import read_yaml

_HEAD = """\
# Settings of `recall` on this machine; `recall doctor` tries them out. Every key there is, with its
# default: settings/recall.yaml. No credentials here: they belong into the environment
# (RECALL_S3_ACCESS_KEY_ID, RECALL_S3_SECRET_ACCESS_KEY, RECALL_HUB_TOKEN) or into the AWS chain.
"""


def change(path: Path, values: Mapping[str, Any]) -> dict[str, Any]:
    """Set these keys in the file, made where it is missing; the keys that changed, with what they
    were before (None: not there).

    Idempotent. In one step and for the owner's eyes alone. Raises `SettingsInvalid`, and the file
    is as it was, where it is no settings file or cannot be changed by itself.
    """
    target = Path(os.path.realpath(path))
    before = read_yaml(target) if target.exists() else {}
    changed = {name: value for name, value in values.items() if before.get(name) != value}
    if not changed:
        return {}
    text = target.read_text(encoding="utf-8") if target.exists() else _HEAD
    _replace(target, _with_all(path, text, before, changed))
    return {name: before.get(name) for name in changed}


def _with_all(path: Path, text: str, before: Mapping[str, Any], changed: Mapping[str, Any]) -> str:
    """Proven by reading it again: YAML has more forms than are edited here."""
    try:
        for name, value in changed.items():
            text = _with(text, name, value)
        if yaml.safe_load(text) == {**before, **changed}:
            return text
    except (yaml.YAMLError, ValueError, RecursionError):
        pass  # said below, without the parser's own words: they can quote a secret
    raise SettingsInvalid(
        f"{path} is written in a way that cannot be changed by itself",
        hint="write one 'name: value' a line, or change it by hand",
    )


def _with(text: str, name: str, value: object) -> str:
    """The text with this key; where it is there already, in its place."""
    line = yaml.safe_dump({name: value}, allow_unicode=True, sort_keys=False, width=10_000)
    place = _place(text, name)
    if place is not None:
        return text[: place[0]] + line.rstrip("\n") + text[place[1] :]
    return f"{text.rstrip()}\n{line}" if text.strip() else line


def _place(text: str, name: str) -> tuple[int, int] | None:
    root = yaml.compose(text, Loader=yaml.SafeLoader)
    if not isinstance(root, yaml.MappingNode):
        return None
    for key, value in root.value:
        if isinstance(key, yaml.ScalarNode) and key.value == name:
            start, end = key.start_mark.index, value.end_mark.index
            return start, start + len(_without_tail(text[start:end]))
    return None


def _without_tail(text: str) -> str:
    """A block ends, for the parser, where the next key begins: the lines between are not its."""
    lines = text.rstrip().split("\n")
    while len(lines) > 1 and lines[-1].lstrip().startswith("#"):
        lines = "\n".join(lines[:-1]).rstrip().split("\n")
    return "\n".join(lines)


def _replace(target: Path, text: str) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f".{target.name}.{os.getpid()}")
    part.unlink(missing_ok=True)
    try:
        descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with open(descriptor, "wb") as file:
            file.write(text.encode())
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, target)
    finally:
        part.unlink(missing_ok=True)
    sync_folder(target.parent)
