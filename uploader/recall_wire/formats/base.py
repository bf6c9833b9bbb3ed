"""What every kind of source looks like to those who read it."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, Self
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from recall_wire.errors import SettingsInvalid
from recall_wire.records import MEMORY_ID_MAX_CHARS, Record

if TYPE_CHECKING:
    from recall_wire.manifest import EmbeddingSpace  # pydantic, which no reader needs

MEMORY_MAX_BYTES = 4 << 30


@dataclass(frozen=True)
class ReadOptions:
    """`embedding` names the space of the source's vectors; None leaves the vectors out.

    `scratch_dir` is where the reader may spill; `memory_max_bytes` bounds what one read may take
    for a source whose rows are very large (ordinary ones stay below 256 MiB). A source with more
    than `max_rows` rows is refused as `LimitExceeded`, before the first record.
    """

    time_zone: str = "UTC"
    embedding: EmbeddingSpace | None = None
    scratch_dir: Path | None = None
    memory_max_bytes: int = MEMORY_MAX_BYTES
    max_rows: int | None = None

    def zone(self) -> ZoneInfo:
        """The zone that naive times are read in. Raises `SettingsInvalid`."""
        try:
            return ZoneInfo(self.time_zone)
        except (ZoneInfoNotFoundError, ValueError, OSError) as error:
            raise SettingsInvalid(
                f"{self.time_zone!r} is not a time zone this machine knows",
                hint="name one as in Europe/Berlin, or UTC",
            ) from error


class RecordSource(Protocol):
    """A source of records, opened. Use as a context manager.

    `fingerprint` names the source's kind, tables and columns, never its content. `warnings` and
    `skipped` are complete once `records` is exhausted.
    """

    @property
    def type(self) -> str:
        """`session-buddy`, `records-parquet` or `records-jsonl`."""

    @property
    def fingerprint(self) -> str: ...

    @property
    def warnings(self) -> list[str]:
        """One sentence each: rows repaired, renamed or left out; tables not read."""

    @property
    def skipped(self) -> int: ...

    def records(self) -> Iterator[Record]:
        """Every memory once, in an order that is the same for the same file.

        May be called again, when one iterator is done: the counts then begin anew.

        Raises `SourceInvalid` where the file turns out to be damaged; what came before is then
        not the whole source and must not be used.
        """

    def close(self) -> None:
        """Idempotent."""

    def __enter__(self) -> Self: ...

    def __exit__(self, *error: object) -> None: ...


class Notes:
    """Counts what had to be repaired or left out, and says each in one sentence."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()
        self._examples: dict[str, str] = {}
        self.skipped = 0

    def add(self, sentence: str, example: str = "") -> None:
        """`sentence` follows a number of rows: "had text that is not valid UTF-8".

        An example is never cut: half a secret would not be found as one. What is longer than an
        id can be is not shown.
        """
        self._counts[sentence] += 1
        if 0 < len(example) <= MEMORY_ID_MAX_CHARS:
            self._examples.setdefault(sentence, example)

    def clear(self) -> None:
        """Begin anew: the source is read again."""
        self._counts.clear()
        self._examples.clear()
        self.skipped = 0

    def skip(self, sentence: str, example: str = "") -> None:
        self.skipped += 1
        self.add(sentence, example)

    def sentences(self) -> list[str]:
        return [self._sentence(text, count) for text, count in self._counts.items()]

    def _sentence(self, text: str, count: int) -> str:
        example = f" (first: {self._examples[text]})" if text in self._examples else ""
        return f"{count} row{'s' if count != 1 else ''} {text}{example}"


def fingerprint_of(kind: str, parts: Iterable[str]) -> str:
    """32 hex digits over a source's kind, tables and columns, whatever their order."""
    data = "\n".join([kind, *sorted(parts)])
    return hashlib.sha256(data.encode(errors="replace")).hexdigest()[:32]
