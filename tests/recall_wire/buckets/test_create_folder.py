"""A first run makes its bucket folder; nothing is ever made above it."""

from __future__ import annotations

from pathlib import Path

from recall_wire.buckets import create_folder


def test_the_last_folder_alone_is_made(tmp_path: Path) -> None:
    create_folder(f"file://{tmp_path / 'bucket'}")
    create_folder(f"file://{tmp_path / 'bucket'}")
    create_folder(f"file://{tmp_path / 'not' / 'mounted'}")
    create_folder("s3://bucket")

    assert [path.name for path in tmp_path.iterdir()] == ["bucket"]
