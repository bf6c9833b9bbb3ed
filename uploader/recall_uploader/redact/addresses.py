"""Passwords inside addresses: only the password goes, host and user stay readable."""

from __future__ import annotations

import re
from collections.abc import Iterator

from recall_uploader.redact.placeholders import is_placeholder
from recall_uploader.redact.rule import Rule, Span, Where, anchored, places

# Passwords are often written unescaped: the last @ before the path ends one.
_STRICT = re.compile(
    r"://[^\s:/@\"'`<>\\?#]{0,200}:(?P<secret>[^\s/\"'`<>\\?#]{1,1000})@", re.ASCII
)
# Behind these schemes a / ? or # may be part of a password, for http it is the path.
_LOOSE = re.compile(
    r"://[^\s:/@\"'`<>\\]{0,200}:(?P<secret>(?!\d{1,5}/)[^\s\"'`<>\\]{1,200})@(?=[\w\[*.\-])",
    re.ASCII,
)
_LOOSE_SCHEME = re.compile(
    r"(?:postgres(?:ql)?|mysql|mariadb|mongodb|rediss?|amqps?|mssql|sqlserver|oracle|clickhouse"
    r"|cockroachdb|ldaps?|smtps?|imaps?|s?ftp|ssh|kafka|nats|snowflake)(?:\+\w{1,20})?\Z",
    re.ASCII,
)
# A token alone before the host: https://ghp_…@github.com, https://<32 hex>@o1.ingest.sentry.io.
_TOKEN = re.compile(r"://(?P<secret>[A-Za-z0-9_\-]{20,200})@(?=[A-Za-z0-9])", re.ASCII)
# `user/password@//host:1521/service`, as Oracle's tools and its JDBC driver write it.
_ORACLE = r"(?:oracle:thin:|sqlplus[ \t])\w{1,64}/(?P<secret>[^\s@/\"']{3,200})@"
_TOOLS = ("oracle:thin:", "sqlplus")
_SCHEME_MAX_CHARS = 32


def _find_passwords(text: str, lowered: str) -> Iterator[Span]:
    for place in places(text, "://"):
        scheme = lowered[max(0, place - _SCHEME_MAX_CHARS) : place]
        for expression in (_LOOSE, _STRICT) if _LOOSE_SCHEME.search(scheme) else (_STRICT, _TOKEN):
            match = expression.match(text, place)
            if match and is_password(match["secret"]):
                yield match.span("secret")


def is_password(value: str) -> bool:
    """A password named `password` may well be one: only what no one can log in with stays."""
    return value.isalnum() or not is_placeholder(value)


ADDRESS_RULES: tuple[Rule, ...] = (
    Rule("url-password", _find_passwords, ("://",), Where.TEXT),
    Rule("oracle-password", anchored(_TOOLS, _ORACLE, accept=is_password), _TOOLS),
)
