"""The index: follows the store's changes, and gives searches a consistent view of them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import structlog

from recall_daemon.index.cold_words import fetch_words
from recall_daemon.index.durable import (
    Damaged,
    IndexFailed,
    make_folder,
    read_json,
    remove,
    whole_number,
    write_json,
)
from recall_daemon.index.feed import Feed
from recall_daemon.index.filters import NO_FILTERS, CodedFilters, Filters
from recall_daemon.index.mending import Piece, mend, piece
from recall_daemon.index.slots import hashes_of
from recall_daemon.index.state import Applied, State, StateClosed, VectorInvalid
from recall_daemon.index.view import IndexView, Scored

__all__ = ["Applied", "Counts", "Held", "Index", "IndexFailed", "VectorInvalid"]

_CURRENT = "current.json"

log = structlog.get_logger(__name__)

# Told how far a long work is: done, total.
Told = Callable[[int, int | None], None]


@dataclass(frozen=True, slots=True)
class Counts:
    """Live rows; vectors that count, of which `tail_vectors` are in no segment; the rest.

    `unusable_vectors` hold NaN or infinity; `lacking_rows` are without words, for their texts
    are not fetched from the bucket yet. `applied` are the watermarks. `progress`: of all changes,
    how many are taken in, by what serves or, while `rebuilding`, by what is to take its place.
    `why_not_sealed`: why the newest vectors stay in memory.
    """

    rows: int
    vectors: int
    tail_vectors: int
    unusable_vectors: int
    lacking_rows: int
    applied: Applied
    sealing: bool
    rebuilding: bool
    progress: int
    why_not_sealed: str | None


@dataclass(frozen=True, slots=True)
class Held:
    """Everything the index says it has, to compare with the store.

    `rows` has row_id and change_no of each live row; `texts` has text_hash of each text that has
    vectors, passages (how many) and change_no (the last of them). `view` is of the same moment.
    """

    rows: pa.Table
    texts: pa.Table
    view: IndexView


class Index:
    """Vectors and words of every live row, in a folder, or in memory without one.

    `apply` is for one thread at a time (a second waits); everything else is safe from any thread,
    takes no lock while it searches, and sees the state after some whole batch. Applying a change
    again changes nothing, and an older change of a row never overrides a newer one.

    The folder is derived: what is damaged, of another store or ahead of it is made anew from the
    feed. A process that is killed at any instant leaves what was before or what comes after.
    """

    def __init__(self, dim: int, folder: Path | None = None) -> None:
        self._dim = dim
        self._folder = folder
        self._applying = threading.Lock()
        self._rebuilding = threading.Lock()
        self._fetching = threading.Lock()
        self._settled = threading.Condition()
        self._generation = 1
        self._state = State(None, dim)
        self._current = (self._state, self._state.view())
        self._opened = folder is None
        self._taking = threading.Lock()
        self._started = False
        self._closed = False
        self._aside: State | None = None

    # Following

    def apply(self, feed: Feed) -> int:
        """Take in what is new, batch by batch, until nothing is; returns the changes applied.

        Readers see each batch as soon as it is whole. Whatever the feed raises leaves the batches
        before it applied. Words of cold rows wait for `fetch_words`. Raises `IndexFailed`, and
        `StateClosed` after `close`.
        """
        try:
            with self._applying, _guarded():
                self._open()
                return self._state.drain(feed, self._publish)
        finally:
            self._notify()

    def _notify(self) -> None:
        with self._settled:
            self._started = True
            self._settled.notify_all()

    def fetch_words(self, feed: Feed) -> int:
        """Index the words of cold rows, whose texts lie in the bucket; returns how many rows.

        For a thread of its own: it takes as long as the bucket does, and holds nothing up. After
        a failure it asks for nothing for a minute. Beside another call it does nothing. Raises
        `IndexFailed`, and `StateClosed` once what it works for is closed.
        """
        if not self._fetching.acquire(blocking=False):
            return 0
        try:
            with _guarded():
                return fetch_words(self._current[0], feed, self._applying, self._publish)
        finally:
            self._fetching.release()

    def piece(self, first: int, last: int, text_hashes: Sequence[str]) -> Piece:
        """What is here of rows `first` to `last`, both included, and of some texts."""
        with self._applying:
            return piece(self._state, first, last, text_hashes)

    def mend(self, feed: Feed, row_ids: Sequence[int], text_hashes: Sequence[str]) -> None:
        """Take these rows, their words and these texts' vectors in anew from the store.

        Rows that are not live there go. Idempotent. Raises `IndexFailed`, `StateClosed`.
        """
        with self._applying, _guarded():
            self._state.check_open()
            mend(self._state, feed, row_ids, text_hashes)
            self._publish()

    def wait_for(self, change_no: int, timeout_s: float) -> bool:
        """Wait until every row change up to `change_no` is found; False where it takes longer."""
        with self._settled:
            return self._settled.wait_for(lambda: self._state.settled.upto >= change_no, timeout_s)

    def wait_for_start(self, timeout_s: float) -> None:
        """Wait until a first `apply` or `rebuild` has ended, however it did, but no longer."""
        if not self._started:
            with self._settled:
                self._settled.wait_for(lambda: self._started, timeout_s)

    def _open(self) -> None:
        """Begin in the folder's present generation; the others are leftovers."""
        if self._closed:
            raise StateClosed
        if self._opened or self._folder is None:
            return
        make_folder(self._folder)
        self._generation = _current_generation(self._folder)
        for entry in self._folder.iterdir():
            if entry.name not in (_CURRENT, str(self._generation)):
                remove(entry)
        self._state = self._new_state(self._generation)
        self._opened = True

    def _new_state(self, generation: int) -> State:
        folder = None if self._folder is None else self._folder / str(generation)
        return State(folder, self._dim, on_sealed=self._on_sealed)

    def _on_sealed(self) -> None:
        """A segment is made: searches use it from now on, also where no change comes."""
        if not self._taking.acquire(blocking=False):
            return  # one thread waits already, and takes it
        with self._applying:
            self._taking.release()
            state = self._state
            if not self._closed and state.space.keep_up(state.settled):
                self._publish()

    def _publish(self) -> None:
        self._current = (self._state, self._state.view())

    # Making anew

    def rebuild(self, feed: Feed, told: Told = lambda done, total: None) -> int:
        """Make everything anew from the store, beside what serves, which goes on following.

        Nothing of the old files is used, so that also what was deleted and only marked so is gone
        from the disk. Raises `IndexFailed`.
        """
        with self._rebuilding, _guarded():
            with self._applying:
                self._open()
                generation = self._generation + 1
                fresh = self._aside = self._new_state(generation)
            if fresh.folder is not None:
                remove(fresh.folder)
            try:
                total = feed.last_change()
                applied = fresh.drain(feed, lambda: told(fresh.progress, total))
                fetch_words(fresh, feed, nullcontext(), lambda: told(fresh.progress, total))
                with self._applying:
                    applied += fresh.drain(feed, lambda: None)
                    self._take_over(fresh, generation)
            except BaseException:
                fresh.close()
                if fresh.folder is not None:
                    remove(fresh.folder)
                raise
            finally:
                self._aside = None
        self._notify()
        return applied

    def _take_over(self, fresh: State, generation: int) -> None:
        if self._folder is not None:
            write_json(self._folder / _CURRENT, {"generation": generation})
        before, self._state, self._generation = self._state, fresh, generation
        self._publish()
        before.close()
        if before.folder is not None:
            remove(before.folder)

    def adopt(self, feed: Feed, told: Told = lambda done, total: None) -> int:
        """Serve the vectors of the feed's space from now on; rows and words stay.

        They are read beside those that serve, which go on following. Idempotent.
        """
        with self._rebuilding, _guarded():
            with self._applying:
                self._open()
                state, space_id = self._state, feed.space_id
                if space_id is None or state.space.space_id == space_id:
                    return 0
                if not state.is_open:  # nothing serves yet
                    return state.drain(feed, self._publish)
                total = feed.last_change()
                space = state.open_space(space_id, total)
            try:
                applied = state.drain_space(
                    space, feed, lambda: told(space.vectors.watermark, total), wait=True
                )
                with self._applying:
                    applied += state.drain_space(space, feed, lambda: None)
                    state.use(space, adopted=True)
                    self._publish()
            except BaseException:
                space.close()
                raise
            return applied

    def close(self) -> None:
        """Give up what is under way and let go of the folder; searches may go on with views."""
        self._closed = True
        for state in (self._aside, self._state):
            if state is not None:
                state.stop()
        with self._rebuilding, self._applying:
            self._state.close()

    # What there is

    def held(self) -> Held:
        """What is in the index after some whole batch; waits for an `apply` that is under way."""
        with self._applying:
            state = self._state
            row_ids, change_nos = state.columns.held()
            keys, passages, newest = state.space.vectors.held()
            texts = {"text_hash": hashes_of(keys), "passages": passages, "change_no": newest}
            return Held(
                rows=pa.table({"row_id": row_ids, "change_no": change_nos}),
                texts=pa.table(texts),
                view=state.view(),
            )

    @property
    def is_complete(self) -> bool:
        """Whether searches find all that the store had at the start, and cold rows by words."""
        state, view = self._current
        return state.is_caught_up and not view.words.lacking_rows

    @property
    def dim(self) -> int:
        return self._dim

    @property
    def applied(self) -> Applied:
        return self._state.applied

    @property
    def counts(self) -> Counts:
        state, view = self._current
        vectors, aside = state.space.vectors, self._aside
        return Counts(
            rows=state.columns.live_rows,
            vectors=len(vectors),
            tail_vectors=vectors.tail_length,
            unusable_vectors=vectors.unusable,
            lacking_rows=view.words.lacking_rows,
            applied=state.applied,
            sealing=state.space.is_sealing,
            rebuilding=aside is not None,
            progress=(aside or state).progress,
            why_not_sealed=state.space.why_not_sealed,
        )

    def view(self) -> IndexView:
        return self._current[1]

    def view_for(self, filters: Filters) -> tuple[IndexView, CodedFilters | None]:
        """The present view, and the filters in its codes; None where nothing can pass."""
        state, view = self._current
        return view, state.columns.coded(filters)

    def rows_tagged(self, filters: Filters, most: int) -> tuple[list[int], int] | None:
        """The live rows that have the filters' tags, and the change_no they are of: those of a
        later change are not looked at. None where there are more than `most`, or no tags."""
        if not (filters.tags or filters.every_tag):
            return None
        state, _ = self._current
        settled = state.settled
        coded = state.columns.coded(Filters(tags=filters.tags, every_tag=filters.every_tag))
        if coded is None:
            return [], settled.upto
        columns = settled.columns
        ordinals = np.flatnonzero(columns.passing_from(0, coded))
        if len(ordinals) > most:
            return None
        return columns.row_id[ordinals].tolist(), settled.upto

    def search_vectors(
        self, query: npt.ArrayLike, filters: Filters = NO_FILTERS, k: int = 10
    ) -> list[Scored]:
        view, coded = self.view_for(filters)
        return [] if coded is None else view.search_vectors(query, coded, k)

    def search_words(self, query: str, filters: Filters = NO_FILTERS, k: int = 10) -> list[Scored]:
        view, coded = self.view_for(filters)
        return [] if coded is None else view.search_words(query, coded, k)


def _current_generation(folder: Path) -> int:
    """Which generation serves; what says so is removed where it cannot be believed."""
    try:
        current = read_json(folder / _CURRENT)
        return 1 if current is None else whole_number(current["generation"])
    except (Damaged, KeyError, ValueError) as error:
        log.warning("index.damaged", part="generation", error=str(error))
        remove(folder / _CURRENT)
        return 1


@contextmanager
def _guarded() -> Iterator[None]:
    """What the folder's disk refuses is tried again later."""
    try:
        yield
    except OSError as error:
        raise IndexFailed(f"the index cannot be written: {error}") from error
