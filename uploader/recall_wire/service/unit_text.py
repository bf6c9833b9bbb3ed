"""What stands in a service file: words as systemd reads them, and the mark that says it is ours."""

from __future__ import annotations

import plistlib
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path

from recall_wire.errors import SettingsInvalid

_MARK = "service install; sha256 "

# What a unit of either program can do without. All of these work without privileges and without
# user namespaces, which many hosts forbid: a user's manager cannot start a unit with ProtectSystem
# or a capability set there.
HARDENING = """\
UMask=0077
NoNewPrivileges=yes
LockPersonality=yes
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX AF_NETLINK
SystemCallArchitectures=native
SystemCallFilter=@system-service
"""


def marked_unit(body: str, *, by: str) -> str:
    """A unit with its last line: which program installed it, and the digest of the rest."""
    body = body.rstrip("\n")
    return f"{body}\n# {by} {_MARK}{_digest(body)}\n"


def marked_plist(content: Mapping[str, object], *, by: str) -> str:
    """A property list, marked likewise. Raises `SettingsInvalid` for what none can hold."""
    try:
        body = plistlib.dumps(content, sort_keys=False).decode().rstrip("\n")
    except (ValueError, UnicodeError) as error:
        raise SettingsInvalid(f"a path cannot stand in a plist: {error}") from error
    return f"{body}\n<!-- {by} {_MARK}{_digest(body)} -->\n"


def is_marked(text: str) -> bool:
    """Whether one of our programs wrote the file, edited since or not."""
    return _MARK in text


def is_unedited(text: str) -> bool:
    body, _, mark = text.rstrip("\n").rpartition("\n")
    return f"{_MARK}{_digest(body)}" in mark


def command_line(words: list[str], home: Path | None = None) -> str:
    """The value of `ExecStart`. Raises `SettingsInvalid` for a program that systemd cannot start.

    Paths below `home` are written so that they are right for every user.
    """
    program, *rest = words
    if set(program) & set("\"'\\"):
        raise SettingsInvalid(
            f"systemd starts no program with a quote or a backslash in its path: {program}",
            hint="install it in another folder",
        )
    # In the first word a dollar is a dollar; in the others it would begin a variable.
    return " ".join([word(program, home), *(word(one, home).replace("$", "$$") for one in rest)])


def whole_line(path: Path, home: Path | None = None) -> str:
    """A path that is all of a value: quotes and white space stand for themselves there."""
    text = str(path)
    if not text.isprintable() or text != text.strip():
        raise SettingsInvalid(f"{text!r} cannot stand in a unit", hint="name another path")
    below = home is not None and text.startswith(f"{home}/")
    return ("%h" if below else "") + text.removeprefix(str(home) if below else "").replace(
        "%", "%%"
    )


def word(text: str, home: Path | None = None, *, prefix: str = "") -> str:
    """One word as systemd reads it: specifiers, quotes and backslashes stand for themselves.

    https://www.freedesktop.org/software/systemd/man/systemd.syntax.html#Quoting
    """
    if not text.isprintable():
        raise SettingsInvalid(f"{text!r} cannot stand in a unit", hint="name another path")
    value = text.removeprefix(prefix)
    below = home is not None and value.startswith(f"{home}/")
    shown = value.removeprefix(str(home)) if below else value
    shown = shown.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%")
    shown = prefix + ("%h" if below else "") + shown
    return f'"{shown}"' if any(c in text for c in " \"';\\") else shown


def _digest(body: str) -> str:
    return sha256(body.encode()).hexdigest()
