"""Results on standard output, warnings on standard error."""

from __future__ import annotations

import shutil
import sys
import textwrap
from collections.abc import Iterable, Sequence
from typing import TextIO


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


def print_facts(facts: Iterable[tuple[str, str]], file: TextIO | None = None) -> None:
    """A name and what is to say of it, a line each; wrapped where a person reads it."""
    lines = list(facts)
    out = file or sys.stdout
    indent = max((len(name) for name, _ in lines), default=0) + 2
    width = shutil.get_terminal_size().columns if out.isatty() else 0
    for name, text in lines:
        shown = " ".join(text.split())
        wrapped = _wrapped(shown, width - indent - 1) if width > 2 * indent else [shown]
        for first, line in zip([name, *[""] * len(wrapped)], wrapped, strict=False):
            print(f"{first:<{indent}}{line}", file=out)


def _wrapped(text: str, width: int) -> list[str]:
    return textwrap.wrap(text, width, break_long_words=False, break_on_hyphens=False) or [""]
