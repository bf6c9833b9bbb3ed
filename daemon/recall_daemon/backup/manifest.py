"""What a backup says of itself: `backup.json`, written last, which is what makes it a backup."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Annotated, Any, Final, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from recall_daemon.errors import BackupDamaged, StoreTooNew
from recall_wire.manifest import Count, Sha256

FORMAT: Final = "recall-backup"
VERSION: Final = 1
MAX_BYTES = 64 << 20


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class NamedColdFile(_Model):
    """A cold object that the backup's rows need; it stays as long as the backup does."""

    key: str
    sha256: Sha256
    bytes: Count
    rows: Count


class BackedUpSystem(_Model):
    """`merged`: the numbers of the snapshots whose rows are in the backup, as inclusive ranges."""

    highest: Count
    merged: list[tuple[int, int]]

    def has(self, seq: int) -> bool:
        return any(first <= seq <= last for first, last in self.merged)


class BackupManifest(_Model):
    """`sha256` and `bytes` are those of the stored object; `store_bytes` of what it unpacks to.

    `created_at` is when the copy was complete: nothing that was merged later is in it. `journal_no`
    is the last journal entry whose effect is in it. `logical_hash` is what `verify` says of it.
    """

    format: Literal["recall-backup"] = FORMAT
    version: Literal[1] = VERSION
    backup_id: str
    hub_id: str
    created_at: AwareDatetime
    recalld: str
    schema_version: Annotated[int, Field(ge=1)]
    change_no: Count
    journal_no: Count
    sha256: Sha256
    bytes: Count
    store_bytes: Count
    rows: Count
    logical_hash: Sha256
    space_id: str | None
    systems: dict[str, BackedUpSystem]
    cold_files: list[NamedColdFile]

    def summary(self) -> dict[str, Any]:
        """What a list of backups shows."""
        return {
            "backup_id": self.backup_id,
            "created_at": self.created_at.isoformat(),
            "rows": self.rows,
            "bytes": self.bytes,
            "logical_hash": self.logical_hash,
            "cold_files": len(self.cold_files),
            "recalld": self.recalld,
        }


def encode_backup(manifest: BackupManifest) -> bytes:
    return manifest.model_dump_json(indent=1).encode()


def parse_backup(data: bytes, backup_id: str) -> BackupManifest:
    """Read a `backup.json`; unknown keys are tolerated.

    Raises `BackupDamaged`; `StoreTooNew` for a format that only a newer recalld knows.
    """
    try:
        told = json.loads(data)
        if isinstance(told, dict) and told.get("format") == FORMAT and told["version"] > VERSION:
            raise StoreTooNew(
                f"backup {backup_id} has format version {told['version']}",
                hint="restore it with the newer recalld that made it",
            )
        manifest = BackupManifest.model_validate(told)
    except (ValueError, KeyError, TypeError, ValidationError) as error:
        raise BackupDamaged(
            f"the manifest of backup {backup_id} cannot be read",
            hint=f"restore --to a time before {time_of(backup_id):%FT%TZ} takes the one before it",
        ) from error
    if manifest.backup_id != backup_id:
        raise BackupDamaged(f"the manifest of backup {backup_id} names {manifest.backup_id[:40]}")
    return manifest


def backup_id(created_at: datetime, sha256: str) -> str:
    """Sorts by time; names its content, as a key that is uploaded in parts must."""
    return f"{created_at:%Y%m%dT%H%M%SZ}-{sha256[:16]}"


def time_of(backup_id: str) -> datetime:
    """When the backup was made, to the second."""
    return datetime.strptime(backup_id[:16] + "+0000", "%Y%m%dT%H%M%SZ%z")
