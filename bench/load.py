"""Fills a store with rows of the corpus and their vectors, through the hub's own store code."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import pyarrow as pa

from corpus import SYSTEM_ROWS, Corpus
from recall_daemon.store import ledger, vectors
from recall_daemon.store.ledger import Entry, Place
from recall_daemon.store.merge import merge_rows
from recall_daemon.store.store import Connection, Store
from recall_daemon.store.vectors import Embedded
from report import progress
from sources import Vectors


@dataclass(frozen=True)
class Loader:
    """Into this store; the vectors into this space, which is the corpus's own."""

    store: Store
    space_id: str
    corpus: Corpus

    def fill(self, start: int, stop: int, merged_at: datetime) -> None:
        """Rows [start, stop). In a new store that is filled from 0, row n gets row_id n + 1."""
        for first in range(start, stop, SYSTEM_ROWS):
            self.merge(first, min(first + SYSTEM_ROWS, stop), merged_at)
            if stop - start > SYSTEM_ROWS:
                progress(f"stored {min(first + SYSTEM_ROWS, stop)} of {stop} rows")

    def merge(self, start: int, stop: int, merged_at: datetime) -> None:
        """Rows [start, stop) as one snapshot of one system; their vectors in a second write."""
        rows = self.corpus.rows(start, stop)
        place = Place(f"system-{start // SYSTEM_ROWS}", start + 1)

        def write_rows(connection: Connection) -> None:
            ledger.see_system(connection, place.system_id, merged_at)
            merge_rows(connection, place, rows, merged_at)
            ledger.record(connection, _entry(place, len(rows), merged_at))

        self.store.write(write_rows)
        embedded = _embedded(rows, self.corpus.vectors(start, stop))
        self.store.write(lambda connection: vectors.put(connection, self.space_id, embedded))


def _entry(place: Place, rows: int, merged_at: datetime) -> Entry:
    return Entry(
        place,
        "bucket",
        f"bench/{place.seq}",
        "merged",
        merged_at,
        kind="delta",
        rows=rows,
        rows_done=rows,
        settled_at=merged_at,
    )


def _embedded(rows: pa.Table, matrix: Vectors) -> list[Embedded]:
    """Every text of the corpus is one passage."""
    named = zip(rows["text_hash"].to_pylist(), rows["text"].to_pylist(), matrix, strict=True)
    return [Embedded(name, [(0, len(text))], vector[None]) for name, text, vector in named]
