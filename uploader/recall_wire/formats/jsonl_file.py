"""JSON Lines in the record schema: one JSON object a line."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from recall_wire.errors import SourceInvalid
from recall_wire.formats import values
from recall_wire.formats.base import ReadOptions, fingerprint_of
from recall_wire.formats.record_row import ID_COLUMNS, Row
from recall_wire.formats.table_source import TableSource
from recall_wire.records import TEXT_MAX_BYTES

_LINE_MAX_BYTES = 4 * TEXT_MAX_BYTES
_BOM = b"\xef\xbb\xbf"


class JsonLinesSource(TableSource):
    """A byte order mark, CRLF and blank lines are tolerated; a bad line refuses the whole file.

    Half a source would look as if the other half had been deleted, so every line is parsed before
    the first record comes out.
    """

    type = "records-jsonl"

    def __init__(self, path: Path, options: ReadOptions) -> None:
        super().__init__(options)
        self._path = path
        names: set[str] = set()
        empty = True
        for row in self.rows():
            empty = False
            names.update(name for name in row if name in ID_COLUMNS)
        if empty or not names:
            what = "holds no rows" if empty else "has no line with a memory_id"
            raise SourceInvalid(f"{path.name} {what}")
        self.fingerprint = fingerprint_of(self.type, names)

    def rows(self) -> Iterator[Row]:
        with self._path.open("rb") as file:
            number = 0
            while line := file.readline(_LINE_MAX_BYTES + 1):
                number += 1
                if number == 1:
                    line = line.removeprefix(_BOM)
                if len(line) > _LINE_MAX_BYTES:
                    raise self._error(number, f"is longer than {_LINE_MAX_BYTES >> 20} MiB")
                if line.strip():
                    yield self._parse(number, line)

    def _parse(self, number: int, line: bytes) -> Row:
        try:
            # Bytes that are no UTF-8 become lone surrogates, so that each text is repaired alone.
            value = json.loads(line.decode(errors="surrogateescape"))
        except RecursionError as error:
            raise self._error(number, "is nested too deeply") from error
        except ValueError as error:
            raise self._error(number, f"is not JSON: {error}") from error
        if not isinstance(value, dict):
            raise self._error(number, "is not a JSON object")
        return {values.whole(name): _with_bytes(item) for name, item in value.items()}

    def _error(self, number: int, why: str) -> SourceInvalid:
        if number > 1:
            return SourceInvalid(f"line {number} of {self._path.name} {why}")
        return SourceInvalid(
            f"{self._path.name} is no DuckDB, Parquet or JSON Lines file: its first line {why}"
        )


def _with_bytes(value: object) -> object:
    """A top-level text that held bytes which are no UTF-8, as those bytes."""
    if not isinstance(value, str):
        return value
    try:
        data = value.encode(errors="surrogateescape")
    except UnicodeEncodeError:  # a lone surrogate that was written as an escape
        return value
    return value if values.whole(value) == value else data
