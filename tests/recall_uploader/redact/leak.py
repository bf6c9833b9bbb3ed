"""One secret in its place."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Leak:
    """`secret` stands in `text` and must go; `kept` does, too, and must stay."""

    name: str
    text: str
    secret: str
    kept: str = ""
