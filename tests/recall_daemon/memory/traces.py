"""Texts to be forgotten, and a search of every byte that a hub and its bucket hold."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator, Sequence
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from recall_daemon.backup import restore
from recall_wire.buckets import open_bucket
from recall_wire.records import Record

# In every text that is forgotten, and in none that stays. One word, so that the index has it whole.
SECRET = "zqxuniquetoken"
DAYS_100 = timedelta(days=100)
_ZSTD = b"\x28\xb5\x2f\xfd"


def secret(number: int) -> str:
    """A text to be forgotten, like no other."""
    return f"the {SECRET} of number{number} is told here, and nowhere else"


def kept(number: int) -> str:
    return f"what stays of number{number} is told here"


def records(count: int, secrets: Sequence[int] = (), **fields: Any) -> list[Record]:
    """Memories m0, m1, …; those whose numbers are given hold the secret."""
    return [
        Record(f"m{n}", text=secret(n) if n in secrets else kept(n), **fields) for n in range(count)
    ]


def holding(folder: Path, needle: str = SECRET) -> list[str]:
    """Every file below a folder that holds it: as it is, decoded from Parquet, or unpacked."""
    return sorted(
        str(path.relative_to(folder))
        for path in folder.rglob("*")
        if path.is_file() and any(needle.encode() in plain for plain in _readings(path))
    )


def _readings(path: Path) -> Iterator[bytes]:
    data = path.read_bytes()
    yield data
    with suppress(pa.ArrowException):
        rows = pq.read_table(io.BytesIO(data)).to_pylist()
        yield json.dumps(rows, default=str, ensure_ascii=False).encode()
    # A cached range has no footer, and a backup is one frame: whatever zstd wrote is unpacked.
    start = data.find(_ZSTD)
    while start >= 0:
        yield _frame(data[start:])
        start = data.find(_ZSTD, start + 1)


def _frame(data: bytes) -> bytes:
    """What the frame at the beginning holds; what follows it is left."""
    plain = bytearray()
    with (
        suppress(pa.ArrowException, OSError),
        pa.CompressedInputStream(pa.BufferReader(data), "zstd") as stream,
    ):
        while piece := stream.read(256):
            plain += piece
    return bytes(plain)


def documents(folder: Path) -> int:
    """How many documents the index's words on the disk have, deleted ones too."""
    metas = [json.loads(path.read_bytes()) for path in folder.glob("index/*/words/meta.json")]
    return sum(segment["max_doc"] for meta in metas for segment in meta["segments"])


def data_dir(hub: Any) -> Path:
    folder: Path = hub.hub.core.settings.data_dir
    return folder


def keys(receipt: Any) -> list[str]:
    return [held["key"] for held in receipt["still_in"]]


def restored(publisher: Any, folder: Path) -> Any:
    bucket = open_bucket(f"file://{publisher.root}")
    found = [h for h in (publisher.root / "hub").iterdir() if (h / "backups").exists()]
    return restore.prepare(bucket, folder, hub_id=found[0].name, to=None, memory_bytes=1 << 28)
