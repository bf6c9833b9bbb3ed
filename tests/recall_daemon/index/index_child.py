"""A process that does to a store and its index all that a hub does, until it is killed.

Everything is derived from the number of the round, so that what a store must hold is known from how
many rounds its ledger names.
"""

from __future__ import annotations

import hashlib
import os
import sys
import threading
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from recall_daemon.index import codes
from recall_daemon.index import vectors as index_vectors
from recall_daemon.index.follower import Index
from recall_daemon.store import ledger, pending, vectors
from recall_daemon.store.ledger import Entry, Place
from recall_daemon.store.memories import StoreFeed
from recall_daemon.store.merge import merge_rows
from recall_daemon.store.store import Connection, Store
from recall_daemon.store.vectors import Embedded
from recall_wire.records import Record, text_hash, to_batch

DIM = 8
NOW = datetime(2026, 1, 2, tzinfo=UTC)
SPACES = (f"one@1:{DIM}", f"two@1:{DIM}")
IDS = 90
SERVING = "serving"


def records_of(round_: int) -> list[Record]:
    """Thirty of the ids: new texts, texts that move between rows, deletes, and a forget."""
    chance = np.random.default_rng(round_)
    found = []
    for number in sorted(chance.choice(IDS, size=30, replace=False).tolist()):
        name, kind = f"m{number}", chance.integers(0, 10)
        if kind == 0:
            found.append(Record(name, op="delete"))
        elif kind == 1 and round_ % 5 == 0:
            found.append(Record(name, op="forget"))
        elif kind < 5:
            found.append(Record(name, text=f"shared {number % 7} by many"))
        else:
            found.append(Record(name, text=f"word{round_}x{number} said once"))
    return found


def vector_of(space_id: str, text: str, passage: int) -> list[float]:
    digest = hashlib.blake2b(f"{space_id} {text} {passage}".encode(), digest_size=DIM).digest()
    return [byte - 127.5 for byte in digest]


def merge(connection: Connection, round_: int) -> None:
    records = records_of(round_)
    table = pa.Table.from_batches([to_batch(records)])
    table = table.append_column("row_no", pa.array(range(len(records)), pa.int64()))
    hashes = pa.array([text_hash(record.text) for record in records], pa.string())
    ledger.see_system(connection, "a", NOW)
    merge_rows(connection, Place("a", round_), table.append_column("text_hash", hashes), NOW)
    entry: dict[str, Any] = {"rows": len(records), "rows_done": len(records), "settled_at": NOW}
    ledger.record(connection, Entry(Place("a", round_), "bucket", "x", "merged", NOW, **entry))


def embed(connection: Connection, space_id: str) -> None:
    waiting = pending.backlog(connection, space_id, 10_000)
    texts = [pending.text for pending in waiting if pending.text is not None]
    embedded = [
        Embedded(
            str(text_hash(text)),
            [(0, len(text))] * passages,
            np.array([vector_of(space_id, text, p) for p in range(passages)], dtype=np.float32),
        )
        for text in texts
        for passages in [1 + len(text) % 3]
    ]
    vectors.put(connection, space_id, embedded)


def make_small() -> None:
    """A segment is made every few changes, and its codes are searched."""
    index_vectors.TAIL_MIN = 24
    codes.EXACT_MAX = 2


def serving(store: Store) -> str:
    with store.read() as connection:
        return ledger.fact(connection, SERVING) or SPACES[0]


def next_round(store: Store) -> int:
    with store.read() as connection:
        return ledger.highest_settled(connection, "a") + 1


class Hub:
    """Follows, rebuilds, changes its space, and answers searches, all at once."""

    def __init__(self, data_dir: Path) -> None:
        self.store = Store(data_dir)
        self.space_id = serving(self.store)
        self.feed = StoreFeed(self.store, lambda: self.space_id)
        self.index = Index(DIM, data_dir / "index")

    def search(self) -> None:
        chance = np.random.default_rng()
        while True:
            self.index.search_vectors(chance.normal(size=DIM), k=20)
            self.index.search_words("shared by many", k=50)

    def rebuild(self) -> None:
        while True:
            self.index.rebuild(self.feed)

    def adopt(self) -> None:
        """As the change of a model does: the store first, then the index, then whoever asks."""
        while True:
            self._change_to(next(name for name in SPACES if name != self.space_id))

    def _change_to(self, space_id: str) -> None:
        self.store.write(lambda connection: ledger.set_fact(connection, SERVING, space_id))
        self.index.adopt(StoreFeed(self.store, lambda: space_id))
        self.space_id = space_id

    def work(self) -> None:
        threading.excepthook = _end
        self.index.apply(self.feed)
        for work in (self.search, self.rebuild, self.adopt):
            threading.Thread(target=work, daemon=True).start()
        print("begun", flush=True)
        while True:
            self._play(next_round(self.store))

    def _play(self, round_: int) -> None:
        self.store.write(lambda connection: merge(connection, round_))
        self.index.apply(self.feed)
        for space_id in SPACES:
            self.store.write(partial(embed, space_id=space_id))
        self.index.apply(self.feed)


def _end(failed: threading.ExceptHookArgs) -> None:
    """What fails in any thread ends the process, which the test sees."""
    threading.__excepthook__(failed)
    os._exit(1)


if __name__ == "__main__":
    make_small()
    Hub(Path(sys.argv[1])).work()
