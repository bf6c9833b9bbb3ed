"""A call as data: what is sent to which path, and whether it changes anything."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from recall_client.arguments import ArgumentInvalid, text


@dataclass(frozen=True, slots=True)
class Call:
    """`writes`: it goes with an idempotency key, `key` where the caller named one. `patience_s`:
    for how long the hub may hold its answer back beyond the usual."""

    method: str
    path: str
    query: Mapping[str, str] = field(default_factory=dict)
    body: bytes | None = None
    writes: bool = False
    key: str | None = None
    patience_s: float = 0.0


def get(path: str, query: Mapping[str, Any] | None = None) -> Call:
    return Call("GET", path, query=_query(query or {}))


def ask(path: str, body: Mapping[str, Any]) -> Call:
    """Reads, with a question that is too large for a query."""
    return Call("POST", path, body=_json(body))


def post(
    path: str, body: Mapping[str, Any], key: str | None = None, *, patience_s: float = 0.0
) -> Call:
    return Call("POST", path, body=_json(body), writes=True, key=_key(key), patience_s=patience_s)


def patch(path: str, body: Mapping[str, Any], key: str | None = None) -> Call:
    return Call("PATCH", path, body=_json(body), writes=True, key=_key(key))


def delete(path: str, query: Mapping[str, Any] | None = None, key: str | None = None) -> Call:
    return Call("DELETE", path, query=_query(query or {}), writes=True, key=_key(key))


def _json(body: Mapping[str, Any]) -> bytes:
    try:
        return json.dumps(body, allow_nan=False).encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise ArgumentInvalid(f"what is to be sent is no JSON: {error}") from None


def _query(values: Mapping[str, Any]) -> dict[str, str]:
    query = {
        name: str(value).lower() if isinstance(value, bool) else str(value)
        for name, value in values.items()
    }
    if not all(value.isascii() or _is_utf8(value) for value in query.values()):
        raise ArgumentInvalid("half a character cannot be sent")
    return query


def _is_utf8(value: str) -> bool:
    return value.encode("utf-8", "ignore").decode() == value


def _key(key: str | None) -> str | None:
    """Raises `ArgumentInvalid`: the hub takes 1 to 255 characters of ASCII, no spaces."""
    if key is None:
        return None
    if not 1 <= len(text("idempotency_key", key)) <= 255 or not all("!" <= c <= "~" for c in key):
        raise ArgumentInvalid("idempotency_key is not 1 to 255 printable ASCII characters")
    return key
