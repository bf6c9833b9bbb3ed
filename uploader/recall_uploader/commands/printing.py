"""Results on standard output, warnings on standard error."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence


def print_result(text: str) -> None:
    print(text)


def print_table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Columns as wide as their widest cell; nothing is cut, so that it can be piped."""
    lines = [head, *rows]
    widths = [max(len(line[column]) for line in lines) for column in range(len(head))]
    for line in lines:
        cells = (cell.ljust(width) for cell, width in zip(line, widths, strict=True))
        print("  ".join(cells).rstrip())


def say(sentence: str) -> None:
    print(f"recall: {sentence}", file=sys.stderr, flush=True)


def warn(warnings: Iterable[str]) -> None:
    for warning in warnings:
        say(warning)
