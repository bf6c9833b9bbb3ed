"""Sizes and spans of time for people."""

from __future__ import annotations

from datetime import timedelta

_KIB = 1024
_SPANS = ((86_400, "day"), (3_600, "hour"), (60, "minute"), (1, "second"))


def bytes_text(count: float) -> str:
    """A size in binary units."""
    for unit in ("B", "KiB", "MiB"):
        if count < _KIB:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= _KIB
    return f"{count:.1f} GiB"


def age_text(age: timedelta) -> str:
    """In its largest whole unit; a clock that was set back makes no negative age."""
    seconds = max(0, int(age.total_seconds()))
    size, unit = next((s for s in _SPANS if seconds >= s[0]), _SPANS[-1])
    count = seconds // size
    return f"{count} {unit}{'' if count == 1 else 's'}"
