"""The constants of the ranking, and what each is changed to when `bench/retrieval.py` asks."""

from __future__ import annotations

from collections.abc import Iterator
from unittest.mock import patch

CHANGES: dict[str, tuple[object, ...]] = {
    "fuse.MEANING_WEIGHT": (0.3, 0.4, 0.6, 0.7),
    "fuse.LENT": ((0.0, 0.0), (0.3, 0.15), (0.7, 0.35)),
    "fuse.BM25_WEIGHT": (0.0, 0.1, 0.15),
    "rank.POOL_ROWS": ((100, 200, 1_000), (200, 1_000)),
    "pool.LEADING": (15, 25, 50),
}


def changed() -> Iterator[str]:
    """The name and value of one changed constant at a time, while it is changed."""
    for name, values in CHANGES.items():
        for value in values:
            with patch(f"recall_daemon.search.{name}", value):
                yield f"{name} = {value}"
