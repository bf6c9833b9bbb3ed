"""Cold rows get their texts back: by range, checked against the store, or with a reason why not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import pyarrow as pa

from recall_daemon.store import cold_files
from recall_daemon.store.cold_files import ColdPlace
from recall_daemon.store.memories import StoredRow
from recall_daemon.store.store import Store
from recall_daemon.tiers.errors import ColdAway, ColdDamaged
from recall_daemon.tiers.groups import Groups
from recall_wire.errors import BucketRefused, RecallError, TerminalError, TransientError

# Whoever reads whole files waits longer than a search does, and asks for less at once.
BULK_TIMEOUT_S = 120.0
BULK_ROWS = 2_000

CHANGED = "it was changed while its text was fetched"


@dataclass(frozen=True)
class FarContent:
    """What a cold row's file holds of it."""

    text: str | None
    metadata: str | None


class ColdTexts:
    """The texts of cold rows. Blocking; safe to call from several threads.

    A text is given only where text, metadata and the row's own fields have the content hash that
    the store has: a file that is cut short, swapped or damaged never gives a wrong one.
    """

    def __init__(self, store: Store, groups: Groups) -> None:
        self._store = store
        self._groups = groups

    def with_texts(self, rows: Mapping[int, StoredRow]) -> dict[int, StoredRow]:
        """The same rows, cold ones with their text; else `text_missing` says why not.

        Never raises for a bucket that is away, and takes no longer than the settings allow it.
        """
        places = [
            ColdPlace(row_id, row.cold_file, row.cold_row)
            for row_id, row in rows.items()
            if row.cold_file is not None and row.cold_row is not None
        ]
        found = self.contents(places)
        return {row_id: _filled(row, found.get(row_id)) for row_id, row in rows.items()}

    def contents(self, places: Sequence[ColdPlace]) -> dict[int, FarContent | RecallError]:
        """Text and metadata of cold rows by row id, or why not.

        Never raises for a bucket that is away, and takes no longer than the settings allow it.
        """
        return self._read(places) if places else {}

    def cold_texts(self, row_ids: Sequence[int]) -> dict[int, str]:
        """The texts of the live cold rows among `row_ids`, by row id.

        A row that has no text is absent, and so is one whose file is missing or damaged. Raises
        `TransientError` where the bucket does not answer, or refuses.
        """
        with self._store.read() as connection:
            places = cold_files.places(connection, row_ids)
        texts: dict[int, str] = {}
        for row_id, found in self._read_many(places).items():
            if isinstance(found, BucketRefused):
                # It may be there all the same: an operator has to say.
                raise ColdAway(str(found)) from found
            if isinstance(found, FarContent) and found.text is not None:
                texts[row_id] = found.text
        return texts

    def problems(self, row_ids: Sequence[int]) -> list[str]:
        """A sentence for each way in which cold rows are not whole in the bucket, each once.

        Raises `TransientError` where the bucket does not answer.
        """
        with self._store.read() as connection:
            places = cold_files.places(connection, row_ids)
        wrong = [str(e) for e in self._read_many(places).values() if isinstance(e, RecallError)]
        counted = {sentence: wrong.count(sentence) for sentence in dict.fromkeys(wrong)}
        return [f"{count} cold rows: {sentence}" for sentence, count in counted.items()]

    def clear_cache(self) -> None:
        """Remove everything from the local cache: also what dead copies in a file left there."""
        self._groups.cache.clear()

    def _read_many(self, places: Sequence[ColdPlace]) -> dict[int, FarContent | RecallError]:
        """In the order of the files, so that a range serves all that lie together; past the cache,
        which is the searches'."""
        found: dict[int, FarContent | RecallError] = {}
        ordered = sorted(places, key=lambda place: (place.file_no, place.row))
        for start in range(0, len(ordered), BULK_ROWS):
            some = ordered[start : start + BULK_ROWS]
            answers = self._read(some, bulk=True)
            for answer in answers.values():
                if isinstance(answer, TransientError):
                    raise answer
            found |= answers
        return found

    def _read(
        self, places: Sequence[ColdPlace], *, bulk: bool = False
    ) -> dict[int, FarContent | RecallError]:
        located = self._groups.locate(places)
        timeout_s = BULK_TIMEOUT_S if bulk else None
        tables = self._groups.read(located, timeout_s=timeout_s, cached=not bulk)
        found: dict[int, FarContent | RecallError] = {}
        for place in places:
            group = located.groups.get(place)
            if group is None:
                found[place.row_id] = _unknown(place)
            elif isinstance(table := tables[group], RecallError):
                found[place.row_id] = table
            else:
                found[place.row_id] = _row(table, place.row - located.first_row(group))
        return self._confirmed(found)

    def _confirmed(
        self, found: dict[int, FarContent | RecallError]
    ) -> dict[int, FarContent | RecallError]:
        had = {n: content for n, content in found.items() if isinstance(content, FarContent)}
        if not had:
            return found
        table = pa.table(
            {
                "row_id": pa.array(list(had), pa.int64()),
                "text": pa.array([content.text for content in had.values()], pa.string()),
                "metadata": pa.array([c.metadata for c in had.values()], pa.string()),
            }
        )
        with self._store.read() as connection:
            right = cold_files.confirmed(connection, table)
        # Its bytes are the file's own, so it is the row that is another by now.
        return found | {row_id: TerminalError(CHANGED) for row_id in had.keys() - right}


def _unknown(place: ColdPlace) -> ColdDamaged:
    return ColdDamaged(f"cold file {place.file_no} is not known to the store")


def _row(table: pa.Table, at: int) -> FarContent:
    return FarContent(table["text"][at].as_py(), table["metadata"][at].as_py())


def text_missing(why: RecallError) -> str:
    """What a reader is told of a text that could not be had."""
    return f"its text could not be fetched: {why}"


def _filled(row: StoredRow, found: FarContent | RecallError | None) -> StoredRow:
    if found is None:
        return row
    if isinstance(found, RecallError):
        return replace(row, text_missing=text_missing(found))
    return replace(row, text=found.text)
