"""Rows as a hub will take them: bounded, its own, numbers and vectors as they travel."""

from __future__ import annotations

import math
import struct
from collections.abc import Iterable, Iterator
from dataclasses import replace

from recall_wire.errors import SourceInvalid
from recall_wire.manifest import EmbeddingSpace
from recall_wire.records import Record


def fit(records: Iterable[Record], space: EmbeddingSpace | None) -> Iterator[Record]:
    """Every row, in its order.

    Fitting a fitted row changes nothing, so the hash of a row read back from its snapshot is the
    one it was spooled with. A vector of another length or with NaN in it would quarantine its
    whole snapshot in the hub: it is left out, and the hub embeds the text.
    """
    for record in records:
        importance = _single(record.importance)
        keeps = record.embedding is None or _is_vector(record.embedding, space)
        if importance == record.importance and keeps:
            yield record
        else:
            embedding = record.embedding if keeps else None
            yield replace(record, importance=importance, embedding=embedding)


def bound(records: Iterable[Record], max_bytes: int) -> Iterator[Record]:
    """Every row, until their texts come to more than `max_bytes`. Raises `SourceInvalid`."""
    size = 0
    for record in records:
        size += len(record.text or "")
        if size > max_bytes:
            raise SourceInvalid(
                f"the source unpacks to more than {max_bytes} bytes of text",
                hint="that is far more than its size: it looks made to harm",
            )
        yield record


def check_targets(records: Iterable[Record], system_id: str | None) -> Iterator[Record]:
    """Every row. Raises `SourceInvalid` for one that a hub would refuse, with all beside it.

    Asked of redacted rows: a target that holds a secret is no system any more.
    """
    for record in records:
        if record.target_system not in (None, system_id):
            raise SourceInvalid(
                f"row {record.memory_id[:80]!r} addresses memories of another system",
                hint="leave target_system out: an instance writes its own memories only",
            )
        yield record


def _single(value: float | None) -> float | None:
    """The number as single precision carries it, in [0, 1]; None for NaN."""
    if value is None or math.isnan(value):
        return None
    return float(struct.unpack("<f", struct.pack("<f", min(1.0, max(0.0, value))))[0])


def _is_vector(values: tuple[float, ...], space: EmbeddingSpace | None) -> bool:
    return space is not None and len(values) == space.dim and all(map(math.isfinite, values))
