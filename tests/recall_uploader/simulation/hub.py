"""A hub on disk, small enough to be seen right: what it acknowledged outlives a kill."""

from __future__ import annotations

import json
import os
import random
from pathlib import Path

from plan import SYSTEM

from recall_wire import layout
from recall_wire.buckets.base import Bucket
from recall_wire.manifest import (
    MANIFEST_MAX_BYTES,
    Ack,
    Manifest,
    QuarantinedSeq,
    parse_manifest,
    sha256_hex,
)


class Clashed(AssertionError):
    """Two snapshots came under one number."""


class Hub:
    """`ledger`: the manifest's digest by number. A quarantined number stays so."""

    def __init__(self, folder: Path, chance: random.Random, *, quarantines: bool) -> None:
        self.folder = folder
        self._chance = chance
        self._quarantines = quarantines
        folder.mkdir(exist_ok=True)

    @property
    def ledger(self) -> dict[int, str]:
        return {int(seq): sha256 for seq, sha256 in self._read("ledger").items()}

    @property
    def quarantined(self) -> set[int]:
        return {int(seq) for seq in self._read("quarantined")}

    def ack(self) -> Ack:
        known = self.quarantined | set(self.ledger)
        complete_to = next(seq for seq in range(len(known) + 1) if seq + 1 not in known)
        told = tuple(
            QuarantinedSeq(seq=seq, reason="cannot be read") for seq in sorted(self.quarantined)
        )
        return Ack(complete_to=complete_to, quarantined=told)

    def batches(self, seq: int) -> Path:
        return self.folder / f"{seq}"

    def take(self, manifest: Manifest, sha256: str) -> bool:
        """Into the ledger, or for once into quarantine; True where it was taken."""
        if manifest.seq in self.quarantined:
            return False
        if self.ledger.setdefault(manifest.seq, sha256) != sha256:
            raise Clashed(f"snapshot {manifest.seq} came twice, and not as the same")
        if manifest.seq not in self.ledger and self._refuses(manifest):
            self._write("quarantined", dict.fromkeys({*self.quarantined, manifest.seq}, ""))
            return False
        self._write("ledger", {**self.ledger, manifest.seq: sha256})
        return True

    def poll(self, bucket: Bucket) -> bool:
        """Take what is new in the bucket and say so in `acks/`; True where something was."""
        before = self.ack()
        for page in bucket.list(layout.snapshots_prefix(SYSTEM)):
            sizes = {item.key: item.bytes for item in page.objects}
            for key in sizes:
                parsed = layout.parse_key(key)
                if isinstance(parsed, layout.SnapshotKey) and parsed.is_manifest:
                    data = bucket.get(key, max_bytes=MANIFEST_MAX_BYTES)
                    manifest = parse_manifest(data, system_id=SYSTEM, seq=parsed.seq)
                    if _is_whole(manifest, sizes):
                        self.take(manifest, sha256_hex(data))
        bucket.put(layout.ack_key(SYSTEM), self.ack().to_bytes())
        return self.ack() != before

    def _refuses(self, manifest: Manifest) -> bool:
        """Once or twice in a world: more often in a row the instance itself gives a row up."""
        if not self._quarantines or manifest.kind == "void" or len(self.quarantined) >= 2:
            return False
        return self._chance.random() < 0.3

    def _read(self, name: str) -> dict[str, str]:
        path = self.folder / f"{name}.json"
        return dict(json.loads(path.read_text())) if path.exists() else {}

    def _write(self, name: str, values: dict[int, str]) -> None:
        new = self.folder / f"{name}.new"
        new.write_text(json.dumps(values))
        os.replace(new, self.folder / f"{name}.json")


def _is_whole(manifest: Manifest, sizes: dict[str, int]) -> bool:
    """Data that is not there yet may still be on its way."""
    keys = (layout.data_key(SYSTEM, manifest.seq, file.name) for file in manifest.files)
    return all(sizes.get(key) == file.bytes for key, file in zip(keys, manifest.files, strict=True))
