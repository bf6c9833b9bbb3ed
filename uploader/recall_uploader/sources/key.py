"""The name a source goes by in the state: told by where it lies, without saying where."""

from __future__ import annotations

import hashlib

from recall_uploader.sources.settings import SourceSettings

_DIGITS = 32


def source_key(source: SourceSettings) -> str:
    """Tells this machine's sources apart; two tables of one file are two sources."""
    table = f"\n{source.table.lower()}" if source.table else ""
    return digest_of(f"recall source {source.path.resolve()}{table}")


def digest_of(text: str) -> str:
    """32 hex digits; names that are no UTF-8 keep their own."""
    return hashlib.sha256(text.encode(errors="surrogateescape")).hexdigest()[:_DIGITS]
