"""A memory without its secrets."""

from __future__ import annotations

from dataclasses import dataclass

from recall_wire.records import Record


@dataclass(frozen=True, slots=True)
class RedactedRecord(Record):
    """`redacted` counts the secrets that were replaced. It is no field that travels, and not in
    the row hash: the same memory read again has the same hash."""

    redacted: int = 0
