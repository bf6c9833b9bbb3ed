"""What callers pass, checked for its type before anything is sent. What a value may be, the hub
says."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final
from urllib.parse import quote

Kind = Callable[[str, Any], Any]

# What a new memory may have.
MEMORY: Final = frozenset(
    {
        *("content", "memory_type", "memory_tier", "importance", "metadata", "tags", "parent_id"),
        *("category", "memory_id"),
    }
)


class NotSent(Exception):
    """A call that never leaves this process; `code` is that of the answer."""

    code = "not_sent"


class ArgumentInvalid(NotSent):
    """An argument that has the wrong type, or cannot be written as JSON."""

    code = "argument_invalid"


class ClientClosed(NotSent):
    """A call of a client that was closed."""

    code = "client_closed"


def given(**values: Any) -> dict[str, Any]:
    """Those that are not None, each of the type that `KINDS` has for its name.

    Raises `ArgumentInvalid`.
    """
    return {name: KINDS[name](name, value) for name, value in values.items() if value is not None}


def segment(name: str, value: Any) -> str:
    """A text as one segment of a path. Dots are quoted, too: a client resolves `..` itself."""
    try:
        quoted = quote(text(name, value), safe="")
    except UnicodeEncodeError:
        raise ArgumentInvalid(f"{name} holds half a character") from None
    if not quoted:
        raise ArgumentInvalid(f"{name} is empty")
    return quoted.replace(".", "%2E")


def text(name: str, value: Any) -> str:
    if not isinstance(value, str):
        raise _wrong(name, value, "a text")
    return value


def number(name: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise _wrong(name, value, "a number")
    return value


def whole(name: str, value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise _wrong(name, value, "a whole number")
    return value


def flag(name: str, value: Any) -> bool:
    if not isinstance(value, bool):
        raise _wrong(name, value, "True or False")
    return value


def members(name: str, value: Any) -> dict[str, Any]:
    if not isinstance(value, Mapping) or not all(isinstance(key, str) for key in value):
        raise _wrong(name, value, "a dictionary with texts as keys")
    return dict(value)


def texts(name: str, value: Any) -> list[str]:
    """A single text is no list of them: its letters would be taken for the items."""
    if not isinstance(value, list | tuple | set | frozenset):
        raise _wrong(name, value, "a list of texts")
    return [text(f"each of {name}", one) for one in value]


def names(name: str, value: Any) -> list[str]:
    """One text, or a list of them."""
    return [value] if isinstance(value, str) else texts(name, value)


def memories(name: str, value: Any) -> list[dict[str, Any]]:
    if not isinstance(value, list | tuple):
        raise _wrong(name, value, "a list of dictionaries")
    return [_memory(members(f"each of {name}", one)) for one in value]


def _memory(values: dict[str, Any]) -> dict[str, Any]:
    unknown = [name for name in values if name not in MEMORY]
    if unknown:
        raise ArgumentInvalid(f"{unknown[0][:40]!r} is nothing that a memory has")
    return given(**values)


def _wrong(name: str, value: Any, wanted: str) -> ArgumentInvalid:
    return ArgumentInvalid(f"{name} is of type {type(value).__name__}, not {wanted}")


KINDS: Final[Mapping[str, Kind]] = {
    **dict.fromkeys(
        (
            *("content", "memory_type", "memory_tier", "parent_id", "category", "memory_id"),
            *("query", "search_type", "sort_field", "sort_order", "session_id", "cursor"),
            *("from_id", "to_id", "type", "direction", "name", "description", "permission"),
            *("base_version", "strategy", "choose", "state", "reason"),
        ),
        text,
    ),
    **dict.fromkeys(("importance", "strength", "factor", "min_score"), number),
    **dict.fromkeys(("lease_s", "wait_s", "expires_in_s"), number),
    **dict.fromkeys(("limit", "fence", "before"), whole),
    **dict.fromkeys(("cascade", "include_shared_memories", "pinned"), flag),
    **dict.fromkeys(("metadata", "filters"), members),
    **dict.fromkeys(("tags", "ids"), texts),
    **dict.fromkeys(("memory_ids", "agents"), names),
    "memories": memories,
}
