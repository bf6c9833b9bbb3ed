"""A snapshot that was pushed to the hub instead of pulled: the same snapshot, the same checks."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

from recall_daemon.ingest.fetch import Spooled, SpooledFile, check_readable, check_spooled
from recall_wire import layout
from recall_wire.errors import SnapshotInvalid
from recall_wire.manifest import parse_manifest, sha256_hex


def spool_pushed(
    system_id: str, seq: int, manifest_data: bytes, files: Mapping[str, Path], *, max_bytes: int
) -> Spooled:
    """Check a pushed snapshot whose data files lie on this disk, by their names in the manifest.

    Raises `ManifestInvalid` and `SnapshotInvalid` as `fetch` does.
    """
    manifest = parse_manifest(manifest_data, system_id=system_id, seq=seq)
    check_readable(manifest, max_bytes)
    spooled = []
    for file in manifest.files:
        path = files.get(file.name)
        if path is None:
            raise SnapshotInvalid(f"{file.name} of snapshot {seq} of {system_id} was not sent")
        with path.open("rb") as opened:
            sha256 = hashlib.file_digest(opened, "sha256").hexdigest()
        check_spooled(file.name, path, file, sha256)
        spooled.append(SpooledFile(path, file.format, file.rows))
    return Spooled(
        system_id=system_id,
        locator=layout.manifest_key(system_id, seq),
        etag=None,
        files=tuple(spooled),
        manifest=manifest,
        manifest_sha256=sha256_hex(manifest_data),
        created_at=manifest.created_at,
    )
