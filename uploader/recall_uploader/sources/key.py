"""The name a source goes by in the state: told by where it lies, without saying where."""

from __future__ import annotations

import hashlib
from pathlib import Path

_DIGITS = 32


def source_key(path: Path, table: str | None = None) -> str:
    """Tells this machine's sources apart; two tables of one file are two sources."""
    name = f"recall source {path.resolve()}" + (f"\n{table.lower()}" if table else "")
    return digest_of(name)


def digest_of(text: str) -> str:
    """32 hex digits; names that are no UTF-8 keep their own."""
    return hashlib.sha256(text.encode(errors="surrogateescape")).hexdigest()[:_DIGITS]
