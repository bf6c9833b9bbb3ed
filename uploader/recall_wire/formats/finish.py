"""The last checks every record passes, whatever it was read from: its id and its size."""

from __future__ import annotations

import hashlib

from recall_wire.formats.base import Notes
from recall_wire.records import MEMORY_ID_MAX_CHARS, TEXT_MAX_BYTES, Record

_TOO_LARGE = f"held more than {TEXT_MAX_BYTES >> 20} MiB of text and were left out"


def fit_id(identity: bytes, metadata: dict[str, object], notes: Notes) -> str:
    """The id as text, or its hash where it is too long or no UTF-8.

    The original is then kept in the metadata under `original_id` (bytes as their escape).
    """
    try:
        text = identity.decode()
    except UnicodeDecodeError:
        text = ""
    if text and len(text) <= MEMORY_ID_MAX_CHARS:
        return text
    metadata["original_id"] = text or identity.decode(errors="backslashreplace")
    notes.add(f"had an id that is no UTF-8 or longer than {MEMORY_ID_MAX_CHARS}; it was hashed")
    return f"sha256:{hashlib.sha256(identity).hexdigest()}"


def fits(record: Record, notes: Notes) -> bool:
    """Whether the record is small enough to travel; one that is not is noted by its id."""
    sizes = (record.text, record.metadata)
    # A character is at most four bytes: most rows need no encoding to be told small enough.
    large = [text for text in sizes if text and len(text) * 4 > TEXT_MAX_BYTES]
    if any(len(text.encode()) > TEXT_MAX_BYTES for text in large):
        notes.skip(_TOO_LARGE, record.memory_id)
        return False
    return True
