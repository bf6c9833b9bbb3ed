"""Ids that come more than once, found in bounded memory."""

from __future__ import annotations

import hashlib
from array import array
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

from recall_wire.errors import LimitExceeded

_BUCKETS = 64

Key = tuple[int, bytes]
"""Which table a row is in, and its id."""


@dataclass
class Repeats:
    """What to do with the rows whose id comes again, in the same table or in another.

    Inside one table the last row wins. In another table the id is that of another memory: the
    first table's row keeps it, and a later table's is called `<id>#<suffix of the table>`.
    """

    _suffixes: tuple[str, ...] = ()
    _last: dict[Key, int] = field(default_factory=dict)
    _first_table: dict[bytes, int] = field(default_factory=dict)
    _taken: set[bytes] = field(default_factory=set)

    def is_superseded(self, key: Key, position: int) -> bool:
        """Whether a later row of the same table has the same id."""
        return self._last.get(key, position) != position

    def renamed(self, key: Key) -> bytes:
        """The id that the row goes by. The same for the same set of rows, in any order."""
        table, identity = key
        if self._first_table.get(identity, table) == table:
            return identity
        candidate = _candidate(identity, self._suffixes[table])
        if candidate not in self._taken:
            return candidate
        return candidate + b"#" + hashlib.sha256(candidate).hexdigest()[:8].encode()


def find_repeats(
    rows: Callable[[], Iterator[Key]],
    suffixes: tuple[str, ...] = ("",),
    *,
    max_rows: int | None = None,
) -> Repeats:
    """Read the keys of all rows once, and again only where some repeat.

    Takes 8 bytes a row besides what is kept for the repeated ones. Positions count from 0 over
    all tables; a row without an id counts too. Raises `LimitExceeded` beyond `max_rows` rows.
    """
    suspects = _repeated_hashes(
        hash(identity) for _, identity in _bounded(rows(), max_rows) if identity
    )
    found = Repeats(suffixes)
    if not suspects:
        return found
    for position, (table, identity) in enumerate(rows()):
        if identity and hash(identity) in suspects:
            found._last[(table, identity)] = position
            found._first_table.setdefault(identity, table)
    candidates = {
        _candidate(identity, suffixes[table])
        for table, identity in found._last
        if found._first_table[identity] != table
    }
    if candidates:
        found._taken = {identity for _, identity in rows() if identity in candidates}
    return found


def _bounded(rows: Iterator[Key], max_rows: int | None) -> Iterator[Key]:
    for number, row in enumerate(rows):
        if number == max_rows:
            raise LimitExceeded(f"it has more than the {max_rows} rows that one source may have")
        yield row


def _candidate(identity: bytes, suffix: str) -> bytes:
    return identity + b"#" + suffix.encode()


def _repeated_hashes(hashes: Iterable[int]) -> set[int]:
    # Buckets, so that the set that finds the repeats in one never holds more than a 64th.
    buckets = [array("q") for _ in range(_BUCKETS)]
    for value in hashes:
        buckets[value % _BUCKETS].append(value)
    repeated: set[int] = set()
    for bucket in buckets:
        seen: set[int] = set()
        for value in bucket:
            (repeated if value in seen else seen).add(value)
    return repeated
