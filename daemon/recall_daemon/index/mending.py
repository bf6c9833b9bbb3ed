"""A piece of the index to compare with the store, and rows and vectors taken in anew."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from tantivy import FieldType, Query

from recall_daemon.index.feed import Feed
from recall_daemon.index.slots import keys_of
from recall_daemon.index.state import State, matrix_of
from recall_daemon.index.words_view import WordsView

# A row has one document; more than so many of some rows need not be told apart.
_DOCUMENTS_MAX = 4


@dataclass(frozen=True, slots=True)
class Piece:
    """What the index has of the rows with some numbers, and of some texts.

    `rows`: row_id and change_no of each live one; `documents`: the row id of each document, in no
    order; `texts` is as `Held.texts`, in the space `space_id`.
    """

    space_id: str

    rows: pa.Table
    documents: pa.Table
    texts: pa.Table


def piece(state: State, first: int, last: int, text_hashes: Sequence[str]) -> Piece:
    """Of rows `first` to `last`, both included, and of those of the texts that have vectors."""
    columns = state.columns.view()
    ordinals = columns.ordinal_of[first : last + 1]
    live = np.flatnonzero(ordinals >= 0)
    return Piece(
        space_id=state.space.space_id,
        rows=pa.table({"row_id": first + live, "change_no": columns.change_no[ordinals[live]]}),
        documents=pa.table({"row_id": _documents(state.words.view(), first, last)}),
        texts=_texts(state, text_hashes),
    )


def _documents(words: WordsView, first: int, last: int) -> pa.Array:
    these = Query.range_query(words.schema, "row_id", FieldType.Unsigned, first, last)
    limit = _DOCUMENTS_MAX * (last - first + 1)
    hits = words.searcher.search(these, limit, count=False).hits
    addresses = [address for _, address in hits]
    found = words.searcher.fast_field_values("row_id", addresses) if addresses else []
    return pa.array([int(row_id) for row_id in found], pa.int64())


def _texts(state: State, text_hashes: Sequence[str]) -> pa.Table:
    hashes = pa.array(text_hashes, pa.string())
    passages, newest = state.space.vectors.held_of(keys_of(hashes))
    has = pa.array(passages > 0)
    table = pa.table({"text_hash": hashes, "passages": passages, "change_no": newest})
    return table.filter(has)


def mend(state: State, feed: Feed, row_ids: Sequence[int], text_hashes: Sequence[str]) -> None:
    """Have these rows, their words and the vectors of these texts be what the store says now.

    Rows that are not live there go. Idempotent; what the index follows by stays where it is.
    """
    if row_ids:
        state.retake(feed.rows_now(row_ids), np.asarray(row_ids, dtype=np.int64))
    if text_hashes and state.space.space_id:
        passages = feed.vectors_of(state.space.space_id, text_hashes)
        matrix = matrix_of(passages["vector"].combine_chunks(), state.dim)
        state.space.vectors.retake(keys_of(pa.array(text_hashes, pa.string())), passages, matrix)
