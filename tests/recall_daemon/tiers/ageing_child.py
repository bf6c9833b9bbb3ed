"""A process that ages a store over and over, to be killed. Arguments: data folder, bucket folder.

Each round merges a few changes, moves the clock on, and runs ageing, compaction and sweep. It
prints a line when it begins and after each round.
"""

from __future__ import annotations

import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa

from recall_daemon.settings import HubSettings
from recall_daemon.store import ledger
from recall_daemon.store.ledger import Entry, Place
from recall_daemon.store.merge import merge_rows
from recall_daemon.store.store import Store
from recall_daemon.tiers import ageing, compaction
from recall_daemon.tiers.build import build_tiers
from recall_daemon.tiers.tiers import Tiers
from recall_wire.records import Record, text_hash, to_batch

START = datetime(2026, 1, 1, tzinfo=UTC)
ROWS = 400


def rows_of(round_: int) -> list[Record]:
    """What the round merges: changed rows, and in every third one some deletes."""
    if round_ == 0:
        return [memory(n, 0) for n in range(ROWS)]
    changed = [memory((round_ * 37 + k) % ROWS, round_) for k in range(12)]
    gone = [Record(f"m{(round_ * 53 + k) % ROWS}", op="delete") for k in range(5)]
    return changed + (gone if round_ % 3 == 0 else [])


def memory(number: int, round_: int) -> Record:
    text = f"Memory {number} in round {round_}. " * (1 + number % 9)
    return Record(f"m{number}", text=text, session_id=f"s{number % 7}", tags=("t",))


def merge_round(store: Store, round_: int) -> None:
    records, now = rows_of(round_), START + timedelta(days=100 * round_)
    table = pa.Table.from_batches([to_batch(records)])
    hashes = [text_hash(record.text) for record in records]
    table = table.append_column("row_no", pa.array(range(len(records)), pa.int64()))
    table = table.append_column("text_hash", pa.array(hashes, pa.string()))
    place, count = Place("a", round_ + 1), len(records)

    def work(connection: Any) -> None:
        if ledger.find(connection, place) is None:
            ledger.see_system(connection, "a", now)
            merge_rows(connection, place, table, now)
            ledger.record(
                connection,
                Entry(place, "bucket", "", "merged", now, rows=count, rows_done=count),
            )

    store.write(work)


def open_tiers(store: Store, data_dir: Path, bucket: Path, now: datetime) -> Tiers:
    settings = HubSettings(data_dir=data_dir, bucket_url=bucket.as_uri())
    return build_tiers(settings, store, now=lambda: now, space_id=lambda: None)


def play(store: Store, data_dir: Path, bucket: Path, round_: int) -> None:
    merge_round(store, round_)
    tiers = open_tiers(store, data_dir, bucket, START + timedelta(days=100 * round_ + 95))
    tiers.age(named_by_backups=set)
    tiers.close()


def next_round(store: Store) -> int:
    """The round after the last one that was merged; that one is played again: it may be half."""
    with store.read() as connection:
        return max(ledger.highest_settled(connection, "a") - 1, 0)


def small_batches() -> None:
    """So that a round has many steps to be killed between."""
    ageing.BATCH_ROWS = 40
    compaction.TARGET_ROWS = 200


def main(data_dir: Path, bucket: Path) -> None:
    small_batches()
    store = Store(data_dir)
    store.write(lambda c: ledger.set_fact(c, "hub_id", "h1"))
    print("begun", flush=True)
    round_ = next_round(store)
    while True:
        play(store, data_dir, bucket, round_)
        print(round_, flush=True)
        round_ += 1


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
