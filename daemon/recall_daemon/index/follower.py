"""The index: applies the store's changes, and gives searches a consistent view of them."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from recall_daemon.index.columns import Columns
from recall_daemon.index.feed import Feed
from recall_daemon.index.filters import NO_FILTERS, CodedFilters, Filters
from recall_daemon.index.growable import Array
from recall_daemon.index.vectors import Vectors
from recall_daemon.index.view import IndexView, Scored
from recall_daemon.index.words import Words
from recall_wire.errors import TerminalError

BATCH_ROWS = 5_000


class VectorInvalid(TerminalError):
    """The store gave a vector of another length than the hub's space has."""


@dataclass(frozen=True, slots=True)
class Applied:
    """The last change_no taken in from each feed."""

    rows: int = 0
    vectors: int = 0


@dataclass(frozen=True, slots=True)
class Counts:
    """Live rows; vectors held; vectors left out because they hold NaN or infinity."""

    rows: int
    vectors: int
    unusable_vectors: int


@dataclass(frozen=True, slots=True)
class Held:
    """Everything the index says it has, to compare with the store.

    `rows` has row_id and change_no of each live row, `texts` the text_hash of each vector;
    `documents` is how many rows the words hold.
    """

    rows: pa.Table
    texts: pa.Table
    documents: int


@dataclass(slots=True)
class _State:
    """Everything the one applying thread writes."""

    vectors: Vectors
    columns: Columns = field(default_factory=Columns)
    words: Words = field(default_factory=Words)
    applied: Applied = Applied()

    def view(self) -> IndexView:
        return IndexView(self.columns.view(), self.vectors.view(), self.words.view())

    def held(self) -> Held:
        row_ids, change_nos = self.columns.held()
        return Held(
            rows=pa.table({"row_id": row_ids, "change_no": change_nos}),
            texts=pa.table({"text_hash": pa.array(self.vectors.held(), pa.string())}),
            documents=self.words.view().rows,
        )

    def apply_rows(self, changes: pa.Table) -> int:
        """Words first: should they fail, nothing else has changed and the batch comes again."""
        row_ids = changes["row_id"].to_numpy()
        new = self.columns.is_new(row_ids, changes["change_no"].to_numpy())
        kept = changes.filter(pa.array(new)).combine_chunks()
        live = kept.filter(kept["live"])
        coded = self.columns.code(live, self.vectors.slots(live["text_hash"].to_pylist()))
        changed = kept["row_id"].to_numpy()
        if len(changed):
            self.words.replace(self.columns.present(changed).tolist(), live, coded)
            self.columns.replace(changed, kept["change_no"].to_numpy(), coded)
        last = int(changes["change_no"].to_numpy().max())
        self.applied = Applied(max(last, self.applied.rows), self.applied.vectors)
        return len(changed)

    def apply_vectors(self, changes: pa.Table) -> int:
        matrix = _matrix(changes["vector"].combine_chunks(), self.vectors.dim)
        self.vectors.put(changes, matrix)
        last = int(changes["change_no"].to_numpy().max())
        self.applied = Applied(self.applied.rows, max(last, self.applied.vectors))
        return len(matrix)


def _matrix(vectors: pa.Array, dim: int) -> Array:
    flat = vectors.flatten().to_numpy(zero_copy_only=False)
    if len(flat) != len(vectors) * dim:
        raise VectorInvalid(
            f"the store gave {len(vectors)} vectors with {len(flat)} numbers, not {dim} each",
            hint="run `recalld rebuild`",
        )
    return np.asarray(flat.reshape(len(vectors), dim), dtype=np.float32)


class Index:
    """Exact vectors and words of every live row, in memory.

    `apply` and `rebuild` are for one thread at a time (a second waits); everything else is safe
    from any thread, takes no lock, and sees the state after some whole batch. Applying a change
    again changes nothing, and an older change of a row never overrides a newer one.

    Memory: 4 x dim bytes a distinct text with a vector, about 250 bytes a row beside, and about
    the size of the text for the words. Measured: 447 MiB for 200,000 rows of 200 characters at
    384-d, 2.3 KB a row.
    """

    def __init__(self, dim: int) -> None:
        self._dim = dim
        self._applying = threading.Lock()
        self._state = _State(Vectors(dim))
        self._current = (self._state, self._state.view())

    def apply(self, feed: Feed) -> int:
        """Take in what is new, batch by batch, until nothing is; returns the changes applied.

        Readers see each batch as soon as it is whole. Whatever the feed raises leaves the batches
        before it applied.
        """
        with self._applying:
            return self._drain(feed, self._state, publish=True)

    def rebuild(self, feed: Feed) -> int:
        """Make everything anew from the store; readers keep the old state until it is ready."""
        with self._applying:
            fresh = _State(Vectors(self._dim))
            applied = self._drain(feed, fresh, publish=False)
            self._state = fresh
            self._publish(fresh)
            return applied

    def held(self) -> Held:
        """What is in the index after some whole batch; waits for an `apply` that is under way."""
        with self._applying:
            return self._state.held()

    def _drain(self, feed: Feed, state: _State, *, publish: bool) -> int:
        applied = 0
        while (rows := feed.row_changes(state.applied.rows, BATCH_ROWS)).num_rows:
            applied += state.apply_rows(rows)
            if publish:
                self._publish(state)
        while (vectors := feed.vector_changes(state.applied.vectors, BATCH_ROWS)).num_rows:
            applied += state.apply_vectors(vectors)
            if publish:
                self._publish(state)
        return applied

    def _publish(self, state: _State) -> None:
        self._current = (state, state.view())

    @property
    def dim(self) -> int:
        return self._dim

    @property
    def applied(self) -> Applied:
        return self._state.applied

    @property
    def counts(self) -> Counts:
        state = self._state
        return Counts(state.columns.live_rows, len(state.vectors), state.vectors.unusable)

    def view(self) -> IndexView:
        return self._current[1]

    def view_for(self, filters: Filters) -> tuple[IndexView, CodedFilters | None]:
        """The present view, and the filters in its codes; None where nothing can pass."""
        state, view = self._current
        return view, state.columns.coded(filters)

    def search_vectors(
        self, query: npt.ArrayLike, filters: Filters = NO_FILTERS, k: int = 10
    ) -> list[Scored]:
        view, coded = self.view_for(filters)
        return [] if coded is None else view.search_vectors(query, coded, k)

    def search_words(self, query: str, filters: Filters = NO_FILTERS, k: int = 10) -> list[Scored]:
        view, coded = self.view_for(filters)
        return [] if coded is None else view.search_words(query, coded, k)
