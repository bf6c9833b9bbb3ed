"""BM25 over every live row, by tantivy in a folder, or in memory.

One document a row. `text` holds its words with positions, then the words inside its camelCase
identifiers; for a row without text its tags, project and id. The filterable fields are terms of
their own, so filters are clauses of the query: they apply before top-k, however few rows they
leave. On disk it takes about the size of the text.
"""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Sequence
from pathlib import Path

import pyarrow as pa
from tantivy import (
    Index,
    Query,
)

from recall_daemon.index.analysis import analyzer
from recall_daemon.index.documents import (
    TOKENIZER,
    documents,
    schema,
)
from recall_daemon.index.durable import Damaged, IndexFailed, make_folder, remove
from recall_daemon.index.words_folder import WordsState, checked_state
from recall_daemon.index.words_view import WordsView

_WRITER_HEAP_BYTES = 64 << 20


class Words:
    """The writing side. One thread only.

    `watermark` is the change_no up to which the words go. Without a folder they are in memory.
    """

    def __init__(self, folder: Path | None = None, *, store_id: str = "") -> None:
        self.watermark = 0
        self._store_id = store_id
        self._folder = folder
        self._schema = schema()
        self._analyzer = analyzer()
        if folder is None:
            self._index = Index(self._schema)
        else:
            make_folder(folder)
            self._index = Index(self._schema, path=str(folder))
        self._index.register_tokenizer(TOKENIZER, self._analyzer)
        self._index.config_reader("manual")
        self._writer = self._index.writer(_WRITER_HEAP_BYTES, 1)

    @classmethod
    def open(cls, folder: Path, *, store_id: str, last_change: int) -> Words:
        """The folder's words, or new ones where there are none.

        Raises `Damaged` where what is there cannot be used.
        """
        state = checked_state(folder, store_id, last_change)
        if state is None:
            remove(folder)
            return cls(folder, store_id=store_id)
        try:
            words = cls(folder, store_id=store_id)
        except (ValueError, OSError) as error:
            raise Damaged(f"the words cannot be opened: {_first_line(error)}") from error
        words.watermark = state.watermark
        return words

    def replace(
        self,
        gone: Sequence[int],
        rows: pa.Table,
        *,
        upto: int,
        lacking: Collection[int] = (),
    ) -> None:
        """Take out the documents of the `gone` row ids and add the live `rows`; all or nothing.

        `upto` becomes the watermark, when the documents are safe. `lacking`: rows whose text is
        not here yet. Raises `IndexFailed` and OSError: whether the documents are there is then not
        known, and the next that replaces them takes out all that may be.
        """
        try:
            if gone:
                # Not delete_documents_by_term: with an unsigned field it silently deletes nothing.
                these = Query.term_set_query(self._schema, "row_id", list(gone))
                self._writer.delete_documents_by_query(these)
            for document in documents(rows, lacking):
                self._writer.add_document(document)
            self._writer.commit()
            self._index.reload()
        except ValueError as error:
            self._begin_again()
            raise IndexFailed(f"the words cannot be written: {_first_line(error)}") from error
        except BaseException:
            self._begin_again()
            raise
        self.reached(upto)

    def _begin_again(self) -> None:
        """Drop what is not committed; a writer that cannot even do that is replaced."""
        try:
            self._writer.rollback()
        except (ValueError, RuntimeError):
            del self._writer  # lets go of the folder's lock
            self._writer = self._index.writer(_WRITER_HEAP_BYTES, 1)

    def reached(self, change_no: int) -> None:
        """Nothing up to this change is missing."""
        if change_no <= self.watermark:
            return
        if self._folder is not None:
            WordsState(self._store_id, change_no).write(self._folder)
        self.watermark = change_no

    def view(self) -> WordsView:
        return WordsView(self._index.searcher(), self._schema, self._analyzer, self.watermark)

    def close(self) -> None:
        """Wait for merges to end and let go of the folder; what is committed stays. Idempotent."""
        # Closed before, or a merge failed: what it would have merged is still there.
        with contextlib.suppress(RuntimeError, ValueError):
            self._writer.wait_merging_threads()


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
