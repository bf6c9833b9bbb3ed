"""Results on standard output, warnings on standard error."""

from __future__ import annotations

import sys
from collections.abc import Iterable

_KIB = 1024


def print_result(text: str) -> None:
    print(text)


def warn(warnings: Iterable[str]) -> None:
    for warning in warnings:
        print(f"recall: {warning}", file=sys.stderr)


def bytes_text(count: float) -> str:
    """A size for people, in binary units."""
    for unit in ("B", "KiB", "MiB"):
        if count < _KIB:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= _KIB
    return f"{count:.1f} GiB"
