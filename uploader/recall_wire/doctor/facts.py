"""Facts for a person: a name and a sentence a line, wrapped where somebody reads them."""

from __future__ import annotations

import shutil
import sys
import textwrap
from collections.abc import Iterable
from typing import TextIO


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
