"""Reads what a new token shall be from JSON."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from recall_daemon.access.tokens import LIFE_MAX, Asked
from recall_daemon.errors import TokenInvalid

VALUES_MAX = 1_000
_NAMES = ("role", "name", "system", "systems", "projects", "expires_in_s", "agent", "user")


def asked_from_json(body: Mapping[str, Any]) -> Asked:
    """`{role, name?, system?, systems?, projects?, expires_in_s?, agent?, user?}`.

    Raises `TokenInvalid`.
    """
    unknown = sorted(str(key)[:40] for key in body if key not in _NAMES)
    if unknown:
        raise TokenInvalid(f"{unknown[0]!r} is not known", hint=f"known are {', '.join(_NAMES)}")
    return Asked(
        role=body.get("role"),  # type: ignore[arg-type]  # checked when it is made
        name=_text(body, "name") or "",
        system_id=_text(body, "system"),
        systems=_texts(body, "systems"),
        projects=_texts(body, "projects"),
        life=_life(body.get("expires_in_s")),
        agent_id=_text(body, "agent"),
        user_id=_text(body, "user"),
    )


def _text(body: Mapping[str, Any], name: str) -> str | None:
    value = body.get(name)
    if value is not None and not isinstance(value, str):
        raise TokenInvalid(f"{name} is not text")
    return value


def _texts(body: Mapping[str, Any], name: str) -> tuple[str, ...] | None:
    values = body.get(name)
    if values is None:
        return None
    if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
        raise TokenInvalid(f"{name} is not a list of texts")
    if len(values) > VALUES_MAX:
        raise TokenInvalid(f"{name} has {len(values)} values, more than {VALUES_MAX}")
    return tuple(values)


def _life(seconds: object) -> timedelta | None:
    if seconds is None:
        return None
    if isinstance(seconds, bool) or not isinstance(seconds, int | float):
        raise TokenInvalid("expires_in_s is not a number")
    if not 0 < seconds <= LIFE_MAX.total_seconds():  # refuses NaN, too
        raise TokenInvalid(f"a token lives up to {LIFE_MAX.days} days, or for ever")
    return timedelta(seconds=seconds)
