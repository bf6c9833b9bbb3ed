"""Bytes a row in the store, tier by tier, beside its raw text and vector; prints JSON.

    python bench/store_bytes.py --rows 200000 --json FILE

The same rows are measured three times: all hot, all warm, all cold. What counts is the blocks in
use in `store.duckdb` after a checkpoint, keys and every field included; the file itself may hold
free blocks, which the store fills before it grows. Texts of cold rows are Parquet objects in the
bucket, counted apart. Raw is the text in UTF-8 and 384 numbers of four bytes.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pyarrow.compute as pc

from corpus import DIM, NEWEST, Corpus, add_options, open_corpus, options_of
from load import Loader
from recall_daemon.embed.choose import open_embedder
from recall_daemon.settings import HubSettings
from recall_daemon.store import ledger
from recall_daemon.store.store import FILE_NAME, Store
from recall_daemon.tiers.build import build_tiers
from report import folder_bytes, machine, progress, publish

CHUNK_ROWS = 50_000
STEPS = {
    "hot": NEWEST,
    "warm": NEWEST + timedelta(days=8),
    "cold": NEWEST + timedelta(days=91),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    add_options(parser)
    parser.add_argument("--rows", type=int, default=200_000)
    arguments = parser.parse_args()
    corpus = open_corpus(options_of(arguments))
    text_bytes = _text_bytes(corpus, arguments.rows)
    raw = text_bytes + DIM * 4
    with tempfile.TemporaryDirectory(prefix="recall-bytes-") as name:
        tiers = measure(corpus, arguments.rows, Path(name))
    publish(
        {
            "benchmark": "store_bytes",
            "machine": machine(("duckdb", "pyarrow")),
            "corpus": corpus.describe(arguments.rows),
            "raw_bytes_per_row": {
                "text": round(text_bytes, 1),
                "vector": DIM * 4,
                "both": round(raw, 1),
            },
            "tiers": tiers,
            "store_to_raw": {
                tier: round(bytes_["store_bytes_per_row"] / raw, 3)
                for tier, bytes_ in tiers.items()
            },
        },
        arguments.json,
    )


def measure(corpus: Corpus, rows: int, folder: Path) -> dict[str, Any]:
    """Store and bucket after all rows have become hot, then warm, then cold."""
    hub, bucket = folder / "hub", folder / "bucket"
    bucket.mkdir()
    settings = HubSettings(data_dir=hub, bucket_url=f"file://{bucket}")
    space_id = _space_id(corpus)
    found = {}
    for tier, moment in STEPS.items():
        progress(f"all rows {tier}")
        with _opened(hub) as store:
            if tier == "hot":
                Loader(store, space_id, corpus).fill(0, rows, NEWEST)
            else:
                _age(settings, store, space_id, moment)
        found[tier] = _measured(hub / FILE_NAME, bucket, rows)
    return found


@contextmanager
def _opened(folder: Path) -> Iterator[Store]:
    store = Store(folder)
    try:
        store.write(lambda connection: ledger.set_fact(connection, "hub_id", "bench"))
        yield store
    finally:
        store.close()


def _age(settings: HubSettings, store: Store, space_id: str, moment: datetime) -> None:
    tiers = build_tiers(settings, store, now=lambda: moment, space_id=lambda: space_id)
    try:
        run = tiers.age()
    finally:
        tiers.close()
    if run.problem:
        raise RuntimeError(run.problem)


def _measured(path: Path, bucket: Path, rows: int) -> dict[str, Any]:
    """Attached from memory, as the hub does it; the checkpoint puts the log into the file."""
    connection = duckdb.connect(":memory:")
    connection.execute(f"ATTACH '{path}' AS store")
    connection.execute("CHECKPOINT store")
    size = "SELECT block_size * used_blocks FROM pragma_database_size() WHERE database_name='store'"
    used = connection.execute(size).fetchall()[0][0]
    held = dict(
        connection.execute(
            "SELECT tier, count(*) FROM store.memories WHERE state = 'live' GROUP BY tier"
        ).fetchall()
    )
    connection.close()
    return {
        "rows_by_tier": held,
        "store_bytes_per_row": round(used / rows, 1),
        "store_file_bytes_per_row": round(path.stat().st_size / rows, 1),
        "cold_object_bytes_per_row": round(folder_bytes(bucket) / rows, 1),
    }


def _space_id(corpus: Corpus) -> str:
    options = corpus.options
    embedder = open_embedder(options.embedder, data_dir=options.folder.expanduser())
    return embedder.space.space_id


def _text_bytes(corpus: Corpus, rows: int) -> float:
    total = 0
    for start in range(0, rows, CHUNK_ROWS):
        texts = corpus.rows(start, min(start + CHUNK_ROWS, rows))["text"]
        total += pc.sum(pc.binary_length(texts)).as_py()
    return total / rows


if __name__ == "__main__":
    main()
