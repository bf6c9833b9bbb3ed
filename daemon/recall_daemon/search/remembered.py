"""The rows that one search has fetched, so that it fetches none twice."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from recall_daemon.index.feed import StoredRow, Texts


class Remembered:
    """`Texts` for one search, used by one thread: its rows are as they were when first fetched."""

    def __init__(self, texts: Texts) -> None:
        self._texts = texts
        self._rows: dict[int, StoredRow | None] = {}

    def rows(self, row_ids: Sequence[int]) -> dict[int, StoredRow]:
        missing = [row_id for row_id in dict.fromkeys(row_ids) if row_id not in self._rows]
        if missing:
            found = self._texts.rows(missing)
            self._rows |= {row_id: found.get(row_id) for row_id in missing}
        here = ((row_id, self._rows[row_id]) for row_id in row_ids)
        return {row_id: row for row_id, row in here if row is not None}

    def local_texts(self, row_ids: Sequence[int]) -> Mapping[int, str | None]:
        return self._texts.local_texts(row_ids)

    def with_texts(self, rows: Mapping[int, Any]) -> Mapping[int, StoredRow]:
        return self._texts.with_texts(rows)

    def find_ids(self, ids: Sequence[str]) -> Sequence[int]:
        return self._texts.find_ids(ids)
