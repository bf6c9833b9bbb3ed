"""Snapshots into a bucket, as an instance commits them: data, manifest, head."""

from __future__ import annotations

from io import BytesIO

import pyarrow as pa
import pyarrow.parquet as pq

from recall_wire import layout
from recall_wire.buckets.base import Bucket
from recall_wire.manifest import (
    DataFile,
    EmbeddingSpace,
    Head,
    Manifest,
    Producer,
    Source,
    now_utc,
    sha256_hex,
)

WRITER = "bench"


def publish_snapshot(
    bucket: Bucket,
    system_id: str,
    seq: int,
    rows: pa.Table,
    *,
    embedding: EmbeddingSpace | None = None,
) -> None:
    """Rows in the record schema as one committed snapshot; `embedding`: the space of theirs."""
    buffer = BytesIO()
    pq.write_table(rows, buffer)
    data = buffer.getvalue()
    sha256 = sha256_hex(data)
    name = f"memories-{sha256[:16]}.parquet"
    manifest = Manifest(
        system_id=system_id,
        seq=seq,
        machine=WRITER,
        instance_id=WRITER,
        created_at=now_utc(),
        producer=Producer(name=WRITER, version="1"),
        kind="full" if seq == 1 else "delta",
        source=Source(type=WRITER, fingerprint=sha256),
        files=(
            DataFile(
                name=name, format="parquet", bytes=len(data), sha256=sha256, rows=rows.num_rows
            ),
        ),
        rows=rows.num_rows,
        embedding=embedding,
    ).to_bytes()
    head = Head(seq=seq, manifest_sha256=sha256_hex(manifest), machine=WRITER)
    bucket.put(layout.data_key(system_id, seq, name), data)
    bucket.put(layout.manifest_key(system_id, seq), manifest)
    bucket.put(layout.head_key(system_id), head.to_bytes())
