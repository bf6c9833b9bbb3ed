"""Our hook in Claude Code's settings: `hooks.SessionEnd`, a list of groups of commands."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from recall_uploader.hook.json_text import JsonRefused, Node, appended, parse, replaced, without

_EVENT = "SessionEnd"
# Without one, all hooks of a session's end share a second and a half; a cold disk needs more.
_TIMEOUT_S = 10
_OPERATORS = set("();<>|&\n`$")
_BEFORE_A_COMMAND = re.compile(r"exec|env|command|nohup|[A-Za-z_][A-Za-z0-9_]*=.*", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Found:
    """A hook that starts us. `whole`: the command does nothing else, so that it is ours; else
    somebody wrote it around us."""

    group: int
    place: int
    node: Node
    command: str
    whole: bool


def settings_path(environment: Mapping[str, str]) -> Path:
    folder = environment.get("CLAUDE_CONFIG_DIR") or "~/.claude"
    return Path(folder).expanduser() / "settings.json"


def hook_command(program: Path, state_dir: Path | None, config: Path | None) -> str:
    words = [str(program), "hook", "session-end"]
    words += ["--state-dir", str(state_dir)] if state_dir else []
    words += ["--config", str(config)] if config else []
    return shlex.join(words)


def installed(text: str, command: str) -> str:
    """With our hook once, and with this command. Idempotent; a command somebody wrote around us
    counts, and stays as it is. Raises `JsonRefused`."""
    found = find(parse(text))
    if not found:
        return _added(text, command)
    keep = next((item for item in found if not item.whole), found[0])
    if keep.whole and _words(keep.command) != _words(command):
        text = replaced(text, keep.node, command)
    for item in reversed([item for item in found if item.whole and item is not keep]):
        text = _without(text, item, frozenset({"hooks", _EVENT}))
    return text


def uninstalled(text: str, before: str | None) -> str:
    """Without our hooks; where `before`, the text as it was without them, still fits, that text.

    A list or object that is empty then goes, too, unless it was there `before`. Raises
    `JsonRefused`.
    """
    found = [item for item in find(parse(text)) if item.whole]
    if not found:
        return text
    if before is not None and _added(before, found[0].command) == text:
        return before
    kept = _containers(before) if before is not None else frozenset[str]()
    for item in reversed(found):
        text = _without(text, item, kept)
    return text


def find(root: Node) -> list[Found]:
    """In the order of the text. Raises `JsonRefused` where an entry is not of its kind."""
    return [
        Found(group, place, node, command, whole)
        for group, place, hook in _hooks(root)
        if (node := hook.member("command")) is not None
        and isinstance(command := node.value, str)
        and (whole := _runs_us(hook, command)) is not None
    ]


def _hooks(root: Node) -> Iterator[tuple[int, int, Node]]:
    for number, group in enumerate(_groups(root)):
        where = f"hooks.{_EVENT}[{number}]"
        hooks = _object(group, where).member("hooks")
        if hooks is None:
            raise JsonRefused(f"{where} has no hooks")
        for place, hook in enumerate(_array(hooks, f"{where}.hooks")):
            yield number, place, _object(hook, f"{where}.hooks[{place}]")


def _groups(root: Node) -> tuple[Node, ...]:
    hooks = _object(root, "the whole").member("hooks")
    event = _object(hooks, "hooks").member(_EVENT) if hooks else None
    return _array(event, f"hooks.{_EVENT}") if event else ()


def _object(node: Node, where: str) -> Node:
    if not isinstance(node.value, dict):
        raise JsonRefused(f"{where} is no object")
    return node


def _array(node: Node, where: str) -> tuple[Node, ...]:
    if not isinstance(node.value, list):
        raise JsonRefused(f"{where} is no list")
    return node.children


def _runs_us(hook: Node, command: str) -> bool | None:
    """True: nothing but us; False: us among other things; None: not us."""
    if (arguments := hook.member("args")) is not None and isinstance(arguments.value, list):
        words = [command, *(str(node.value) for node in arguments.children)]
        return False if _place(words) is not None else None
    words = _words(command)
    place = _place(words)
    if place is None:
        return None
    plain = not _OPERATORS & set(_unquoted(command))
    return plain and all(_BEFORE_A_COMMAND.fullmatch(word) for word in words[:place])


def _place(words: list[str]) -> int | None:
    """Where `…/recall hook session-end` begins."""
    for place, word in enumerate(words):
        if os.path.basename(word) == "recall" and words[place + 1 : place + 3] == [
            "hook",
            "session-end",
        ]:
            return place
    return None


def _words(command: str) -> list[str]:
    """As a shell reads them; its operators are words of their own."""
    lexer = shlex.shlex(command, posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    lexer.commenters = ""
    try:
        return list(lexer)
    except ValueError:
        return command.split()


def _unquoted(command: str) -> str:
    """What the shell itself reads: the text outside quotes."""
    return re.sub(r"'[^']*'|\"(?:\\.|[^\"\\$`])*\"|\\.", "", command, flags=re.DOTALL)


def _added(text: str, command: str) -> str:
    root = parse(text)
    group = {"hooks": [{"type": "command", "command": command, "timeout": _TIMEOUT_S}]}
    hooks = root.member("hooks")
    if hooks is None:
        return appended(text, root, root, {_EVENT: [group]}, "hooks")
    event = hooks.member(_EVENT)
    if event is None:
        return appended(text, root, hooks, [group], _EVENT)
    return appended(text, root, event, group)


def _without(text: str, found: Found, kept: frozenset[str]) -> str:
    """Without one hook, and without what is empty then, unless its key is in `kept`."""
    root = parse(text)
    hooks = root.member("hooks")
    event = hooks.member(_EVENT) if hooks else None
    if hooks is None or event is None:
        return text
    group = event.children[found.group].member("hooks")
    if group is not None and len(group.children) > 1:
        return without(text, group, found.place)
    if len(event.children) > 1 or _EVENT in kept:
        return without(text, event, found.group)
    if len(hooks.children) > 1 or "hooks" in kept:
        return without(text, hooks, hooks.keys.index(_EVENT))
    return without(text, root, root.keys.index("hooks"))


def _containers(text: str) -> frozenset[str]:
    hooks = parse(text).member("hooks")
    if hooks is None:
        return frozenset()
    return frozenset({"hooks", *(key for key in hooks.keys if key == _EVENT)})
