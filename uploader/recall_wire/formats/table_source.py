"""What the sources that are one table have in common: ids, repeats, notes."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Self

from recall_wire.formats.base import Notes, ReadOptions
from recall_wire.formats.record_row import Row, TableRows, identity_of
from recall_wire.formats.repeats import Key, find_repeats
from recall_wire.records import Record


class TableSource(ABC):
    """A `RecordSource` over one table; subclasses give its rows and, cheaper, its ids."""

    type: str
    fingerprint: str

    def __init__(self, options: ReadOptions) -> None:
        self._notes = Notes()
        self._max_rows = options.max_rows
        self._mapping = TableRows(options, self._notes)

    @property
    def warnings(self) -> list[str]:
        return self._notes.sentences()

    @property
    def skipped(self) -> int:
        return self._notes.skipped

    @abstractmethod
    def rows(self) -> Iterator[Row]:
        """Every row in stored order."""

    def ids(self) -> Iterator[bytes]:
        """The id of every row, empty where there is none."""
        return map(identity_of, self.rows())

    def records(self) -> Iterator[Record]:
        self._notes.clear()
        repeats = find_repeats(self._keys, max_rows=self._max_rows)
        for position, row in enumerate(self.rows()):
            identity = identity_of(row)
            if not identity:
                self._notes.skip("had no id and were left out")
            elif repeats.is_superseded((0, identity), position):
                self._notes.add("had an id that a later row has too; the last one counts")
            elif record := self._mapping.record(row, identity):
                yield record

    def close(self) -> None:
        """Nothing is kept open between two reads."""
        return None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def _keys(self) -> Iterator[Key]:
        return ((0, identity) for identity in self.ids())
