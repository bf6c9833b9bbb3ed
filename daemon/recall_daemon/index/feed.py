"""What the index and the search need of the store, as protocols."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import pyarrow as pa


class Feed(Protocol):
    """The store's changes, in the order of the one counter `change_no`."""

    @property
    def store_id(self) -> str:
        """Another one for each store that the same change_no may mean something else in."""

    @property
    def space_id(self) -> str | None:
        """The space whose vectors are fed; None while there is none."""

    @property
    def opened_at(self) -> int:
        """The last change when the store was opened: no index of its history is ahead of that."""

    def last_change(self) -> int:
        """The number of the last change that was committed."""

    def live_fields(self) -> tuple[pa.Table, int]:
        """Every live row, and the last change at that moment.

        Columns: those of `row_changes` without live, memory_id, text and tier. In no order.
        """

    def row_changes(self, after: int, limit: int) -> pa.Table:
        """Rows with `change_no > after`, ascending by change_no, at most `limit`.

        Columns: row_id int64 (stable, unique, dense-ish from 1), change_no int64, live bool,
        system_id, memory_id, kind str, text, text_hash str?, created_at timestamp[us, UTC]?,
        project, namespace, session_id, agent_id, user_id str?, tags list<str>, importance
        float?, tier str. `live`
        False is a row that was deleted or forgotten: its text is null. So is that of a row whose
        tier is cold: see `cold_texts`.
        """

    def rows_now(self, row_ids: Sequence[int]) -> pa.Table:
        """The live rows among `row_ids`, as `row_changes` gives them, in no order."""

    def vector_changes(self, space_id: str, after: int, limit: int) -> pa.Table:
        """Passages of a space with `change_no > after`, ascending by change_no, at most `limit`.

        Columns: change_no int64, text_hash str, passage int32, start_char int32, end_char int32?
        (null: not known), vector list of float32. A put of a text replaces all its passages, with
        passage 0 first. A vector may come before or after the rows whose text it belongs to.
        """

    def vectors_of(self, space_id: str, text_hashes: Sequence[str]) -> pa.Table:
        """All passages of some texts, as `vector_changes` gives them."""

    def cold_texts(self, row_ids: Sequence[int]) -> Mapping[int, str]:
        """The texts of cold rows, as far as they can be had. Raises `TransientError`."""


class StoredRow(Protocol):
    """What the index does not have of a live row, as of change_no; `seq` is the snapshot that
    brought it.
    """

    @property
    def change_no(self) -> int: ...
    @property
    def memory_id(self) -> str: ...
    @property
    def text(self) -> str | None: ...
    @property
    def seq(self) -> int: ...
    @property
    def tier(self) -> str: ...
    @property
    def summary(self) -> str | None: ...
    @property
    def text_missing(self) -> str | None: ...


class Texts(Protocol):
    """Where the rows behind the hits are fetched."""

    def rows(self, row_ids: Sequence[int]) -> Mapping[int, StoredRow]:
        """The live rows among `row_ids`, by id; a row that is gone is absent.

        Local only: a cold row comes without its text.
        """

    def local_texts(self, row_ids: Sequence[int]) -> Mapping[int, str | None]:
        """The texts alone, of the live rows among these: None for a cold row. Local only.

        A third of what `rows` costs.
        """

    def with_texts(self, rows: Mapping[int, Any]) -> Mapping[int, StoredRow]:
        """The same rows; cold ones have their text, or say in `text_missing` why not."""

    def rows_now(self, row_ids: Sequence[int]) -> pa.Table:
        """See `Feed.rows_now`."""

    def find_ids(self, ids: Sequence[str]) -> Sequence[int]:
        """The live rows that one of these names: MEMORY_ID of any system, or SYSTEM/MEMORY_ID."""
