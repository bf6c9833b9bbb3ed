"""Everything the one applying thread writes: rows, words and vectors."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import structlog

from recall_daemon.index.columns import Columns, last_of_each
from recall_daemon.index.durable import Damaged, make_folder, read_ahead, remove
from recall_daemon.index.feed import Feed
from recall_daemon.index.growable import Array
from recall_daemon.index.interruptible import Interruptible
from recall_daemon.index.selection import Selections
from recall_daemon.index.slots import TextSlots
from recall_daemon.index.spaces import Settled, Space, folder_of
from recall_daemon.index.view import IndexView
from recall_daemon.index.words import Words
from recall_wire.errors import TerminalError, TransientError

BATCH_ROWS = 20_000

log = structlog.get_logger(__name__)


class VectorInvalid(TerminalError):
    """The store gave a vector of another length than the hub's space has."""


class StateClosed(TransientError):
    """The index was closed while it took changes in."""

    def __init__(self) -> None:
        super().__init__("the index is closed")


@dataclass(frozen=True, slots=True)
class Applied:
    """The last change_no taken in from each feed."""

    rows: int = 0
    vectors: int = 0


class State:
    """One thread at a time calls `drain`; `view` gives what searches may keep.

    `is_open`: what the folder has was read. `is_caught_up`: a drain has taken in all that there
    was. `settled`: the rows when the last drain had them all.
    """

    def __init__(
        self, folder: Path | None, dim: int, *, on_sealed: Callable[[], None] = lambda: None
    ) -> None:
        self.folder = folder
        self._asking = Interruptible(StateClosed)
        self.dim = dim
        self._on_sealed = on_sealed
        self._rows_upto = 0
        self.is_open = False
        self.is_caught_up = False
        self._opened_at = 0
        self._store_id = ""
        self._slots = TextSlots()
        self.columns = Columns()
        self.settled = Settled(self.columns.view(), 0)
        self.words = Words()
        self.space = self._new_space("")
        self._selections = Selections()
        # Whether there may be documents of rows that are not taken in, or of another version.
        self._words_ahead = False
        self._adopted = False
        self._proven = folder is None
        # When texts of cold rows may be asked for again (monotonic).
        self.ask_again_at = 0.0

    # Opening

    def open(self, feed: Feed) -> None:
        """Read what the folder has; what is damaged or of another store is made anew."""
        self._store_id = feed.store_id
        if self.folder is not None:
            make_folder(self.folder)
            self._opened_at = feed.opened_at
            self._read_folder(feed, self.folder)
            # A killed process may have left them ahead of their watermark: any row may be there.
            self._words_ahead = self.words.watermark > 0
        self.is_open = True

    def _read_folder(self, feed: Feed, folder: Path) -> None:
        """The words and the segment are checked while the store gives the rows."""
        space_id = feed.space_id
        space = None if space_id is None else self._new_space(space_id)
        read_ahead(folder)
        with ThreadPoolExecutor(2) as beside:
            words = beside.submit(self._open_words, folder / "words")
            try:
                files = None if space is None else beside.submit(space.read, self._opened_at)
                self._read_rows(feed)
                if space is not None and files is not None:
                    space.take(files.result())
                    self.use(space)
                    self.remove_other_spaces()
            except BaseException:
                words.result().close()
                raise
            self.words = words.result()

    def _read_rows(self, feed: Feed) -> None:
        rows, self._rows_upto = feed.live_fields()
        coded = self.columns.code(rows, self._slots.of_texts(rows["text_hash"]))
        self.columns.replace(coded.row_id, rows["change_no"].to_numpy(), coded)

    def _open_words(self, folder: Path) -> Words:
        try:
            return Words.open(folder, store_id=self._store_id, last_change=self._opened_at)
        except Damaged as error:
            log.warning("index.damaged", part="words", error=str(error))
            remove(folder)
            return Words(folder, store_id=self._store_id)

    def _new_space(self, space_id: str) -> Space:
        return Space(
            None if self.folder is None else self.folder / "vectors",
            self._slots,
            self.dim,
            space_id=space_id,
            store_id=self._store_id,
            on_sealed=self._on_sealed,
        )

    def open_space(self, space_id: str, upto: int) -> Space:
        """The vectors that the folder has of a space, if they are not ahead of change `upto`."""
        space = self._new_space(space_id)
        space.open(upto)
        return space

    def use(self, space: Space, *, adopted: bool = False) -> None:
        """Serve another space from now on; the folder of the one before is removed.

        `adopted`: the feed may still name the one before, until it names this one.
        """
        before, self.space = self.space, space
        self._adopted = adopted
        before.remove()
        self._selections = Selections()

    def remove_other_spaces(self) -> None:
        """What is left of spaces that serve no more."""
        if self.folder is None:
            return
        parent = self.folder / "vectors"
        own = folder_of(parent, self.space.space_id)
        for folder in parent.iterdir() if parent.exists() else ():
            if folder != own:
                remove(folder)

    # Applying

    def drain(self, feed: Feed, publish: Callable[[], None]) -> int:
        """Take in what is new, batch by batch, until nothing is; returns the changes applied."""
        if not self.is_open:
            self.open(feed)
            publish()
        self._follow_space(feed, publish)
        applied = self._drain_rows(feed, publish)
        if not self._proven:
            applied += self._prove_words(feed, publish)
        applied += self.drain_vectors(feed, publish)
        self.is_caught_up = True
        return applied

    def _follow_space(self, feed: Feed, publish: Callable[[], None]) -> None:
        space_id = feed.space_id
        if space_id == self.space.space_id:
            self._adopted = False
        elif space_id is not None and not self._adopted:
            self.use(self.open_space(space_id, self._opened_at))
            self.remove_other_spaces()
            publish()  # where nothing is new, nobody else does

    def _drain_rows(self, feed: Feed, publish: Callable[[], None]) -> int:
        applied, upto = 0, feed.last_change()
        while (changes := feed.row_changes(self.rows_from, BATCH_ROWS)).num_rows:
            self.check_open()
            applied += self._apply_rows(changes)
            publish()
        # Nothing up to `upto` is left: vectors' changes have numbers of the same counter.
        self.settled = Settled(self.columns.view(), max(self.settled.upto, upto))
        self._words_ahead = False
        return applied

    @property
    def rows_from(self) -> int:
        """The change after which rows or their words may be missing."""
        return min(self._rows_upto, self.words.watermark)

    def _apply_rows(self, changes: pa.Table) -> int:
        """Words first: should they fail, nothing else has changed and the batch comes again."""
        row_ids, change_nos = changes["row_id"].to_numpy(), changes["change_no"].to_numpy()
        new = self.columns.is_new(row_ids, change_nos)
        for_words = last_of_each(row_ids, change_nos) & (change_nos > self.words.watermark)
        upto = int(change_nos.max())
        taken = new | for_words
        if taken.any():
            self._take(changes.filter(pa.array(taken)).combine_chunks(), new[taken], upto)
        self.words.reached(upto)
        self._rows_upto = max(self._rows_upto, upto)
        return int(np.count_nonzero(taken))

    def _take(self, kept: pa.Table, new: Array, upto: int) -> None:
        row_ids = kept["row_id"].to_numpy()
        is_live = kept["live"].to_numpy()
        ahead, self._words_ahead = self._words_ahead, True
        gone = row_ids if ahead else self.columns.present(row_ids[new])
        live = kept.filter(kept["live"])
        added = live.filter(pa.array(new[is_live])).combine_chunks()
        coded = self.columns.code(added, self._slots.of_texts(added["text_hash"]))
        self.words.replace(gone.tolist(), live, upto=upto, lacking=_without_texts(live))
        if new.any():
            self.columns.replace(row_ids[new], kept["change_no"].to_numpy()[new], coded)
        self._words_ahead = ahead

    def _prove_words(self, feed: Feed, publish: Callable[[], None]) -> int:
        """Once after opening: as many documents as rows, or the words are made anew."""
        self._proven = True
        documents, rows = self.words.view().rows, self.columns.live_rows
        if documents == rows or self.folder is None:
            return 0
        log.warning("index.damaged", part="words", error=f"{documents} documents of {rows} rows")
        self.words.close()
        remove(self.folder / "words")
        self.words = Words(self.folder / "words", store_id=self._store_id)
        return self._drain_rows(feed, publish)

    def drain_vectors(self, feed: Feed, publish: Callable[[], None]) -> int:
        """Take in what is new of the space that serves."""
        return self.drain_space(self.space, feed, publish)

    def drain_space(
        self, space: Space, feed: Feed, publish: Callable[[], None], *, wait: bool = False
    ) -> int:
        """Take in what is new of a space; of one that does not serve also beside `drain`.

        `wait`: have each full tail sealed before it goes on.
        """
        applied = 0
        if space.keep_up(self.settled, wait=wait):
            publish()
        vectors = space.vectors
        while (
            changes := feed.vector_changes(space.space_id, vectors.watermark, BATCH_ROWS)
        ).num_rows:
            self.check_open()
            vectors.put(changes, matrix_of(changes["vector"].combine_chunks(), self.dim))
            applied += changes.num_rows
            space.keep_up(self.settled, wait=wait)
            publish()
        return applied

    def retake(self, rows: pa.Table, row_ids: Array) -> None:
        """Have these rows be what `rows` says, as `feed.rows_now` gives them; the others go."""
        changed = np.zeros(len(row_ids), dtype=np.int64)
        order = np.argsort(row_ids)
        at = order[np.searchsorted(row_ids, rows["row_id"].to_numpy(), sorter=order)]
        changed[at] = rows["change_no"].to_numpy()
        # A row may be newer than what is followed, and comes again: its document is one too many.
        self._words_ahead = True
        coded = self.columns.code(rows.combine_chunks(), self._slots.of_texts(rows["text_hash"]))
        self.words.replace(
            row_ids.tolist(), rows, upto=self.words.watermark, lacking=_without_texts(rows)
        )
        self.columns.replace(row_ids, changed, coded)

    # Words of cold rows

    def ask(self, feed: Feed, row_ids: Sequence[int]) -> Mapping[int, str]:
        """As `feed.cold_texts`, but `stop` does not wait for a bucket that hangs."""
        return self._asking.call(lambda: feed.cold_texts(row_ids))

    def give_words(self, rows: pa.Table) -> int:
        """Index the texts of rows that were without; one that changed since is left alone."""
        row_ids = rows["row_id"].to_numpy()
        same = self.columns.has(row_ids, rows["change_no"].to_numpy())
        if same.any():
            given = rows.filter(pa.array(same)).combine_chunks()
            self.words.replace(row_ids[same].tolist(), given, upto=self.words.watermark)
        return int(np.count_nonzero(same))

    def check_open(self) -> None:
        """Raises `StateClosed`."""
        self._asking.check()

    # What there is

    @property
    def progress(self) -> int:
        """Of all changes, how many are taken in: half of the way is rows, half is vectors."""
        return (self.rows_from + self.space.vectors.watermark) // 2

    @property
    def applied(self) -> Applied:
        return Applied(self._rows_upto, self.space.vectors.watermark)

    def view(self) -> IndexView:
        return IndexView(
            self.columns.view(),
            self.space.vectors.view(),
            self.words.view(),
            self._selections,
            self._slots.keys,
        )

    def stop(self) -> None:
        """Have what is under way give up. From any thread."""
        self._asking.stop()

    def close(self) -> None:
        """Give up what is under way and let go of the folder."""
        self.stop()
        self.space.close()
        self.words.close()


def _without_texts(live: pa.Table) -> frozenset[int]:
    """The cold rows that have a text, which lies in the bucket alone: see `cold_words`."""
    is_far = pc.and_(pc.equal(live["tier"], "cold"), pc.is_null(live["text"]))
    wanted = pc.and_(is_far, pc.is_valid(live["text_hash"]))
    return frozenset(live["row_id"].filter(wanted).to_pylist())


def matrix_of(vectors: pa.Array, dim: int) -> Array:
    """float32 of shape (n, dim). Raises `VectorInvalid`."""
    flat = vectors.flatten().to_numpy(zero_copy_only=False)
    if len(flat) != len(vectors) * dim:
        raise VectorInvalid(
            f"the store gave {len(vectors)} vectors with {len(flat)} numbers, not {dim} each",
            hint="run `recalld rebuild`",
        )
    return np.asarray(flat.reshape(len(vectors), dim), dtype=np.float32)
