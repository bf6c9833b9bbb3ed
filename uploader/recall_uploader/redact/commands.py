"""Passwords as programs take them: `curl -u`, `mysql -p…`, .netrc, .pgpass, SQL, `name`/`value`."""

from __future__ import annotations

import re
from collections.abc import Iterator

from recall_uploader.redact.names import Promise, promise
from recall_uploader.redact.placeholders import (
    is_code,
    is_made,
    is_placeholder,
    is_prose,
    is_strong,
)
from recall_uploader.redact.rule import Find, Rule, Span, anchored, places

# What may stand between a program and its option; bounded, and never beyond the command.
_GAP = r"\b[^\n|;&]{0,300}?"
_WORD = r"(?:\\*[\"'](?P<secret_quoted>[^\"'\n\\]{1,400})|(?P<secret>[^\s\"'`|;\\]{1,400}))"
_ENCODED = r"(?P<secret>[A-Za-z0-9+/\-_.]{8,}={0,2})"
_PAIR = r"[\"']?[^\s:\"'`]{1,100}:(?P<secret>[^\s\"'`|;\\]{1,400})"

# What else must be in the text, the words a command begins with, and what follows from there.
_COMMANDS: tuple[tuple[str, tuple[str, ...], str], ...] = (
    (" -", ("curl", "wget", "http "), rf"\w+{_GAP}[ \t](?:-u|--user|--proxy-user)[ =]?{_PAIR}"),
    (" -p", ("mysql", "mariadb"), rf"\w{{5,7}}(?:dump|admin|import)?{_GAP}[ \t]-p{_WORD}"),
    (" -p", ("sshpass",), rf"sshpass[ \t]+-p[ \t]{{0,4}}{_WORD}"),
    (" -", ("redis-cli",), rf"redis-cli{_GAP}[ \t](?:-a|--pass)[ \t]{{1,4}}{_WORD}"),
    (" -p", (" login ",), rf" login{_GAP}[ \t]-p[ \t]{{1,4}}{_WORD}"),
    (" -n", ("ssh-keygen",), rf"ssh-keygen{_GAP}[ \t](?-i:-N)[ \t]{{1,4}}{_WORD}"),
    (" -p", ("mongo",), rf"mongo\w*{_GAP}[ \t]-p[ \t]{{1,4}}{_WORD}"),
    (" -w", ("ldap",), rf"ldap\w+{_GAP}[ \t]-w[ \t]{{1,4}}{_WORD}"),
    (" -p", ("sqlcmd", "bcp "), rf"\w+{_GAP}[ \t](?-i:-P)[ \t]{{0,4}}{_WORD}"),
    (" -", ("htpasswd",), rf"htpasswd[ \t]+-[a-z]{{1,9}}(?:[ \t]+\S{{1,200}}){{2}}[ \t]+{_WORD}"),
    ("pass:", ("-pass",), rf"-pass(?:in|out)?[ \t]+[\"']?pass:{_WORD}"),
    (" -p", ("zip ", "7z ", "7za ", "unrar "), rf"\w+{_GAP}[ \t]-p[ \t]{{0,2}}{_WORD}"),
    (
        "password",
        ("login",),
        rf"login[ \t\r\n]+[^\s\"']{{1,200}}[ \t\r\n]+password[ \t\r\n]+{_WORD}",
    ),
    (
        "identified",
        ("identified",),
        r"identified[ \t]+(?:with[ \t]+\S{1,60}[ \t]+)?by[ \t]+(?:password[ \t]+)?\\*[\"']"
        r"(?P<secret>[^\"'\n\\]{1,400})",
    ),
    ("password", ("password",), r"password[ \t]+\\*'(?P<secret>[^\"'\n\\]{1,400})\\*'"),
    (
        ":",
        (":54", ":6432:", ":*:"),
        rf":(?:54\d\d|6432|\*):[\w*.\-]{{1,100}}:[\w*.\-]{{1,100}}:{_WORD}",
    ),
    ("chpasswd", ("echo ",), rf"echo[ \t]+{_PAIR}[\"']?[ \t]*\|[ \t]*(?:sudo[ \t]+)?chpasswd"),
    (
        "|",
        ("echo ", "printf "),
        rf"\w+[ \t]+(?:-n[ \t]+|'?%s'?[ \t]+)?{_WORD}[\"']?[ \t]*\|[^\n|;&]{{0,80}}"
        r"(?:password-stdin|sudo[ \t]+-s|passwd[ \t]+--stdin)",
    ),
    ("_auth", ("_auth",), rf"_auth(?:token|password)?[ \t]{{0,4}}=[ \t]{{0,4}}{_ENCODED}"),
    ('"auth', ('"auth',), rf"\"auth\\*\"[ \t]{{0,4}}:[ \t]{{0,4}}\\*\"{_ENCODED}"),
    ("auth", ("masterauth",), rf"\w+[ \t]+{_WORD}"),
    ("requirepass", ("requirepass",), rf"\w+[ \t]+{_WORD}"),
    (
        "net use",
        ("net use",),
        r"net use\b[^\n]{0,200}?/user:\S{1,100}[ \t]+(?P<secret>[^\s\"'/*]{3,200})",
    ),
)
_NAME = r"(?:name|key)\\*[\"']?[ \t]{0,4}[:=][ \t]{0,4}\\*[\"']?(?P<name>[\w.\-]{2,80})\\*[\"']?"
_VALUE = r"[\s,]{1,40}(?:-[ \t])?\\*[\"']?value\\*[\"']?[ \t]{0,4}[:=][ \t]{0,4}\\*[\"']?"
_NAMED_VALUE = re.compile(
    rf"{_NAME}{_VALUE}(?P<secret>[^\s\"'\\]{{3,2000}})", re.ASCII | re.IGNORECASE
)

# Terraform: variable "db_password" { default = "…" }.
_VARIABLE = re.compile(
    r"variable[ \t]+\"(?P<name>[\w\-]{2,80})\"[ \t]*\{[^{}]{0,400}?\bdefault[ \t]*=[ \t]*"
    r"\"(?P<secret>[^\"\n]{3,2000})\"",
    re.ASCII,
)
_APART = (("name", _NAMED_VALUE), ("key", _NAMED_VALUE), ("variable", _VARIABLE))


def _is_real(value: str) -> bool:
    return len(value) >= 3 and not (
        is_placeholder(value) or is_code(value) or (value.isdigit() and len(value) < 4)
    )


def named_secret(name: str, value: str) -> bool:
    """Whether a value kept apart from its name (a column, a key of an object) is a secret."""
    promised = promise(name)
    if promised is None or is_placeholder(value) or value.lower() == name.lower():
        return False
    if promised is Promise.PASS:
        return len(value) >= 3 and not is_prose(value) and not (value.isdigit() and len(value) < 4)
    return is_made(value) if promised is Promise.HINT else is_strong(value)


_LOOKS = tuple(sorted({re.escape(word) for _, words, _ in _COMMANDS for word in words}))
_FINDS: tuple[tuple[str, Find], ...] = tuple(
    (needed, anchored(words, pattern, accept=_is_real)) for needed, words, pattern in _COMMANDS
)


def _find_commands(text: str, lowered: str) -> Iterator[Span]:
    for needed, find in _FINDS:
        if needed in lowered:
            yield from find(text, lowered)


def _find_named(text: str, lowered: str) -> Iterator[Span]:
    for word, expression in _APART:
        for match in (expression.match(text, place) for place in places(lowered, word)):
            if match and named_secret(match["name"], match["secret"]):
                yield match.span("secret")


COMMAND_RULES: tuple[Rule, ...] = (
    Rule("command-password", _find_commands, looks=_LOOKS),
    Rule("named-value", _find_named, ("value", "variable")),
)
