"""A row as tantivy's document: its words, and its fields as terms of their own."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator, Sequence

import pyarrow as pa
import pyarrow.compute as pc
from tantivy import Document, Schema, SchemaBuilder

from recall_daemon.index.analysis import composed, humps, said_key
from recall_daemon.index.columns import FIELDS

TOKENIZER = "memory"
# Rows whose text lies in the bucket and is not fetched yet; they are found by it later.
LACKING = "lacking"
TEXT = "text"
# The first half of the text's hash: rows of the same text have the same.
TEXT_KEY = "text_key"
# See `analysis.said_key`.
SAID_KEY = "said_key"
# Longer values of a field are terms by their hash: tantivy leaves out terms past 65,530 bytes.
_VALUE_MAX_BYTES = 1_024


def schema() -> Schema:
    builder = SchemaBuilder()
    builder.add_unsigned_field("row_id", indexed=True, fast=True)
    builder.add_unsigned_field(TEXT_KEY, indexed=True)
    builder.add_unsigned_field(SAID_KEY, fast=True)
    builder.add_text_field("text", tokenizer_name=TOKENIZER, index_option="position")
    builder.add_integer_field("created_us", fast=True)
    for name in (*FIELDS, "tag", LACKING):
        builder.add_text_field(name, tokenizer_name="raw", index_option="basic")
    return builder.build()


def documents(rows: pa.Table, lacking: Collection[int]) -> Iterator[Document]:
    names = ("row_id", "text", "text_hash", "memory_id", "tags")
    columns = [rows[name].to_pylist() for name in names]
    created = rows["created_at"].cast(pa.int64()).to_pylist()
    fields = {name: _values(rows[column]) for name, column in FIELDS.items()}
    for at, (row_id, text, text_hash, memory_id, tags) in enumerate(zip(*columns, strict=True)):
        # add_unsigned: `Document(row_id=5)` would write a signed number and end the writer.
        document = Document()
        document.add_unsigned("row_id", row_id)
        if text_hash is not None:
            document.add_unsigned(TEXT_KEY, int(text_hash[:16], 16))
        if text is not None:
            document.add_unsigned(SAID_KEY, said_key(text))
        if created[at] is not None:
            document.add_integer("created_us", created[at])
        for name, values in fields.items():
            if values[at] is not None:
                document.add_text(name, values[at])
        for tag in tags or []:
            document.add_text("tag", term_of(tag))
        if row_id in lacking:
            document.add_text(LACKING, TEXT)
        _add_words(document, text, [memory_id, fields["project"][at], *(tags or [])])
        yield document


def _values(column: pa.ChunkedArray) -> list[str | None]:
    """The column's values as terms; each distinct one is looked at once."""
    encoded = column.combine_chunks().dictionary_encode()
    terms = [term_of(value) for value in encoded.dictionary.to_pylist()]
    taken = pc.take(pa.array(terms, pa.string()), encoded.indices)
    return list(taken.to_pylist())


def term_of(value: str) -> str:
    """A field's value as a term: itself, or for a long one its hash."""
    data = value.encode()
    if len(data) <= _VALUE_MAX_BYTES and not value.startswith("\0"):
        return value
    return "\0" + hashlib.blake2b(data, digest_size=16).hexdigest()


def _add_words(document: Document, text: str | None, names: Sequence[str | None]) -> None:
    if text is None:
        document.add_text("text", composed(" ".join(name for name in names if name)))
        return
    plain = composed(text)
    document.add_text("text", plain)
    inner = humps(plain)
    if inner:
        document.add_text("text", inner)
