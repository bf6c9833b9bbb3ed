"""Times as people and programs write them."""

from __future__ import annotations

from datetime import UTC, datetime


def in_utc(value: object) -> datetime:
    """An ISO 8601 time, or a datetime, in UTC; naive ones are UTC.

    Raises ValueError or OverflowError for anything else.
    """
    moment = datetime.fromisoformat(value) if isinstance(value, str) else value
    if not isinstance(moment, datetime):
        raise ValueError("neither a time nor text")
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
