"""The record: one memory as it travels, as an Arrow schema, a Python row and a hash.

Rows travel as Arrow record batches in `RECORD_SCHEMA`. Sources build them from `Record` rows;
the hub takes them apart again with `conform`, which trusts nothing.
"""

from __future__ import annotations

import hashlib
import json
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from typing import Literal

import pyarrow as pa
import pyarrow.compute as pc

from recall_wire.dictionaries import written_out
from recall_wire.errors import SnapshotInvalid

Kind = Literal["conversation", "reflection", "insight", "note"]
Op = Literal["upsert", "delete", "forget"]

KINDS: tuple[Kind, ...] = ("conversation", "reflection", "insight", "note")
OPS: tuple[Op, ...] = ("upsert", "delete", "forget")
MEMORY_ID_MAX_CHARS = 512
TEXT_MAX_BYTES = 64 << 20

_TIME = pa.timestamp("us", tz="UTC")

RECORD_SCHEMA = pa.schema(
    [
        ("memory_id", pa.string()),
        ("kind", pa.string()),
        ("text", pa.string()),
        ("created_at", _TIME),
        ("updated_at", _TIME),
        ("project", pa.string()),
        ("namespace", pa.string()),
        ("session_id", pa.string()),
        ("agent_id", pa.string()),
        ("user_id", pa.string()),
        ("tags", pa.list_(pa.string())),
        ("importance", pa.float32()),
        ("parent_id", pa.string()),
        ("metadata", pa.string()),
        ("embedding", pa.list_(pa.float32())),
        ("op", pa.string()),
        ("target_system", pa.string()),
        ("base_version", pa.string()),
    ]
)


@dataclass(frozen=True, slots=True)
class Record:
    """One memory. `text` None means: kept, found by its fields, never embedded.

    Times are aware; None means that the source does not say. `metadata` is a JSON object as text.
    """

    memory_id: str
    kind: Kind = "note"
    text: str | None = None
    created_at: datetime | None = None
    updated_at: datetime | None = None
    project: str | None = None
    namespace: str | None = None
    session_id: str | None = None
    agent_id: str | None = None
    user_id: str | None = None
    tags: tuple[str, ...] = ()
    importance: float | None = None
    parent_id: str | None = None
    metadata: str = "{}"
    embedding: tuple[float, ...] | None = None
    op: Op = "upsert"
    target_system: str | None = None
    base_version: str | None = None

    def row_hash(self) -> bytes:
        """16 bytes over the record's fields, the vector excepted.

        A source's access counters are no fields of a record, so they never cause an upload.
        """
        values = [_plain(getattr(self, name)) for name in _HASHED]
        data = json.dumps(values, ensure_ascii=True, separators=(",", ":")).encode()
        return hashlib.blake2b(data, digest_size=16).digest()


_HASHED = tuple(f.name for f in fields(Record) if f.name != "embedding")


def _plain(value: object) -> object:
    return value.astimezone(UTC).isoformat() if isinstance(value, datetime) else value


def to_batch(records: Sequence[Record]) -> pa.RecordBatch:
    """The rows as one record batch in `RECORD_SCHEMA`, in their order."""
    columns = [
        pa.array([getattr(record, field.name) for record in records], type=field.type)
        for field in RECORD_SCHEMA
    ]
    return pa.RecordBatch.from_arrays(columns, schema=RECORD_SCHEMA)


def text_hash(text: str | None) -> str | None:
    """32 hex digits that name a text's vector; None for a text that has nothing to embed.

    Texts that differ only in Unicode form (NFC) or white space share one vector.
    """
    normal = " ".join(unicodedata.normalize("NFC", text).split()) if text else ""
    if not normal or normal.isspace() or not normal.strip("\0 "):
        return None
    return hashlib.blake2b(normal.encode(), digest_size=16).hexdigest()


def conform(batch: pa.RecordBatch, *, embedding_dim: int | None = None) -> pa.RecordBatch:
    """A batch in exactly `RECORD_SCHEMA`, columns matched by name, absent ones null.

    `embedding_dim` is the length the manifest declares; None drops the vectors, since nothing says
    which space they belong to. Importance outside [0, 1] is clamped and NaN becomes null. Raises
    `SnapshotInvalid` naming the first offending column.
    """
    columns = {field.name: _column(batch, field) for field in RECORD_SCHEMA}
    for name in ("memory_id", "kind", "op"):
        if columns[name].null_count:
            raise SnapshotInvalid(f"column {name} has a row without a value")
    _check_ids(columns["memory_id"])
    _check_choice(columns["kind"], "kind", KINDS)
    _check_choice(columns["op"], "op", OPS)
    columns["importance"] = _unit_interval(columns["importance"])
    columns["tags"] = pc.if_else(pc.is_valid(columns["tags"]), columns["tags"], _no_tags(batch))
    columns["metadata"] = pc.fill_null(columns["metadata"], "{}")
    columns["embedding"] = _vectors(columns["embedding"], embedding_dim)
    conformed = pa.RecordBatch.from_arrays(
        [columns[field.name] for field in RECORD_SCHEMA], schema=RECORD_SCHEMA
    )
    _check_utf8(conformed)
    return conformed


def _column(batch: pa.RecordBatch, field: pa.Field) -> pa.Array:
    index = batch.schema.get_all_field_indices(field.name)
    if len(index) > 1:
        raise SnapshotInvalid(f"column {field.name} is there {len(index)} times")
    if not index:
        return _absent(batch.num_rows, field)
    column = batch.column(index[0])
    if isinstance(column.type, pa.DictionaryType):
        column = written_out(column)
    if pa.types.is_timestamp(field.type) and pa.types.is_timestamp(column.type):
        if column.type.tz is None:
            column = column.cast(pa.timestamp(column.type.unit, tz="UTC"))
        return column.cast(field.type, safe=False)
    try:
        return column.cast(field.type)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise SnapshotInvalid(
            f"column {field.name} is {column.type}, which is no {field.type}"
        ) from error


def _absent(rows: int, field: pa.Field) -> pa.Array:
    if field.name == "op":
        return pa.array(["upsert"] * rows, type=field.type)
    if field.name == "memory_id":
        raise SnapshotInvalid("there is no column memory_id")
    if field.name == "kind":
        return pa.array(["note"] * rows, type=field.type)
    return pa.nulls(rows, type=field.type)


def _no_tags(batch: pa.RecordBatch) -> pa.Array:
    return pa.array([[]] * batch.num_rows, type=pa.list_(pa.string()))


def _check_ids(column: pa.Array) -> None:
    if not len(column):
        return
    lengths = pc.min_max(pc.utf8_length(column)).as_py()
    if lengths["min"] == 0 or lengths["max"] > MEMORY_ID_MAX_CHARS:
        raise SnapshotInvalid(
            f"a memory_id has {lengths['min'] and lengths['max']} characters; "
            f"1 to {MEMORY_ID_MAX_CHARS} are allowed"
        )


def _check_choice(column: pa.Array, name: str, allowed: Sequence[str]) -> None:
    wrong = [value for value in pc.unique(column).to_pylist() if value not in allowed]
    if wrong:
        raise SnapshotInvalid(f"{name} {str(wrong[0])[:40]!r} is none of {', '.join(allowed)}")


def _unit_interval(column: pa.Array) -> pa.Array:
    nothing = pa.scalar(None, type=pa.float32())
    known = pc.if_else(pc.is_nan(column), nothing, column)
    low, high = pa.scalar(0.0, pa.float32()), pa.scalar(1.0, pa.float32())
    above = pc.if_else(pc.less(known, low), low, known)
    return pc.if_else(pc.greater(above, high), high, above)


def _vectors(column: pa.Array, dim: int | None) -> pa.Array:
    if dim is None:
        return pa.nulls(len(column), type=column.type)
    lengths = pc.unique(pc.list_value_length(column)).to_pylist()
    wrong = [length for length in lengths if length not in (None, dim)]
    if wrong:
        raise SnapshotInvalid(f"an embedding has {wrong[0]} numbers, the manifest declares {dim}")
    flat = column.flatten()
    if flat.null_count or not pc.all(pc.is_finite(flat), min_count=0).as_py():
        raise SnapshotInvalid("an embedding holds a number that is missing, NaN or infinite")
    return column


def _check_utf8(batch: pa.RecordBatch) -> None:
    for field in RECORD_SCHEMA:
        try:
            batch.column(field.name).validate(full=True)
        except pa.ArrowInvalid as error:
            raise SnapshotInvalid(f"column {field.name} is not valid UTF-8") from error
