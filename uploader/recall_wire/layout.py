"""The bucket layout, version 1: every key this project reads or writes is made and parsed here."""

from __future__ import annotations

import re
from dataclasses import dataclass

from recall_wire.errors import UnsafeKey

HEADS = "heads/"
SYSTEMS = "systems/"
ACKS = "acks/"
HUB = "hub/"
MANIFEST = "manifest.json"
BACKUP_MANIFEST = "backup.json"
BACKUP_STORE = "store.duckdb.zst"

SEQ_DIGITS = 12
SEQ_MAX = 10**SEQ_DIGITS - 1

_SYSTEM_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_FILE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
_BACKUP = re.compile(
    rf"([0-9]{{8}}T[0-9]{{6}}Z-[0-9a-f]{{16}})/({re.escape(BACKUP_MANIFEST)}|{re.escape(BACKUP_STORE)})"
)
_BARE_SUFFIXES = (".duckdb", ".parquet")


def check_system_id(system_id: str) -> str:
    """Return `system_id` unchanged. Raises `UnsafeKey` where it breaks the contract's pattern."""
    if not _SYSTEM_ID.fullmatch(system_id):
        raise UnsafeKey(
            f"{system_id[:120]!r} is not a system id",
            hint="use 1 to 100 of A-Z a-z 0-9 . _ - and start with a letter or digit",
        )
    return system_id


def check_file_name(name: str) -> str:
    """Return `name` unchanged. Raises `UnsafeKey` for anything but a plain file name."""
    if not _FILE_NAME.fullmatch(name) or name == MANIFEST:
        raise UnsafeKey(f"{name[:120]!r} is not a plain data file name")
    return name


def check_seq(seq: int) -> int:
    """Return `seq` unchanged. Raises `UnsafeKey` outside 1..10^12-1."""
    if not 1 <= seq <= SEQ_MAX:
        raise UnsafeKey(f"snapshot number {seq} is outside 1..{SEQ_MAX}")
    return seq


def head_key(system_id: str) -> str:
    return HEADS + check_system_id(system_id)


def ack_key(system_id: str) -> str:
    return ACKS + check_system_id(system_id)


def system_prefix(system_id: str) -> str:
    return f"{SYSTEMS}{check_system_id(system_id)}/"


def snapshots_prefix(system_id: str) -> str:
    return f"{system_prefix(system_id)}snapshots/"


def snapshot_prefix(system_id: str, seq: int) -> str:
    return f"{snapshots_prefix(system_id)}{check_seq(seq):0{SEQ_DIGITS}d}/"


def manifest_key(system_id: str, seq: int) -> str:
    return snapshot_prefix(system_id, seq) + MANIFEST


def data_key(system_id: str, seq: int, name: str) -> str:
    return snapshot_prefix(system_id, seq) + check_file_name(name)


def cold_prefix(hub_id: str) -> str:
    """Where a hub keeps the texts of its cold rows."""
    return f"{HUB}{check_file_name(hub_id)}/cold/"


def cold_key(hub_id: str, file_no: int, sha256: str) -> str:
    """`sha256` (hex) of the object's bytes: a key never stands for two contents."""
    return f"{cold_prefix(hub_id)}{check_seq(file_no):0{SEQ_DIGITS}d}-{sha256[:16]}.parquet"


def hub_prefix(hub_id: str) -> str:
    """Everything that is the hub's own."""
    return f"{HUB}{check_file_name(hub_id)}/"


def parse_hub_prefix(prefix: str) -> str | None:
    """The hub id of a prefix right under `hub/`, or None."""
    hub_id = prefix.removeprefix(HUB).removesuffix("/")
    return hub_id if _FILE_NAME.fullmatch(hub_id) and prefix == f"{HUB}{hub_id}/" else None


def owner_key(hub_id: str) -> str:
    """Which data folder writes under this hub id."""
    return hub_prefix(hub_id) + "owner"


def log_prefix(hub_id: str) -> str:
    return hub_prefix(hub_id) + "log/"


def log_key(hub_id: str, first: int) -> str:
    """Entries of the hub's journal from number `first` on, in one object."""
    return f"{log_prefix(hub_id)}{check_seq(first):0{SEQ_DIGITS}d}.json.zst"


def backups_prefix(hub_id: str) -> str:
    return hub_prefix(hub_id) + "backups/"


def backup_key(hub_id: str, backup_id: str, name: str) -> str:
    """`name` is `BACKUP_MANIFEST`, the commit marker, or a data object."""
    return f"{backups_prefix(hub_id)}{check_file_name(backup_id)}/{check_file_name(name)}"


def parse_backup_key(hub_id: str, key: str) -> tuple[str, str] | None:
    """The backup id and name of a key that `backup_key` can have made, or None. Never raises."""
    found = _BACKUP.fullmatch(key.removeprefix(backups_prefix(hub_id)))
    return (found[1], found[2]) if found and key.startswith(backups_prefix(hub_id)) else None


@dataclass(frozen=True)
class SnapshotKey:
    """A key inside `systems/<system_id>/snapshots/<seq>/`."""

    system_id: str
    seq: int
    name: str

    @property
    def is_manifest(self) -> bool:
        return self.name == MANIFEST


@dataclass(frozen=True)
class BareKey:
    """`systems/<system_id>/<anything>.duckdb|.parquet`: a snapshot another tool put there."""

    system_id: str
    key: str


def parse_key(key: str) -> SnapshotKey | BareKey | None:
    """What a key under `systems/` is, or None for a key that belongs to no snapshot.

    Never raises: a bucket may hold anything.
    """
    system_id, _, rest = key.removeprefix(SYSTEMS).partition("/")
    if not key.startswith(SYSTEMS) or not rest or not _SYSTEM_ID.fullmatch(system_id):
        return None
    parts = rest.split("/")
    if parts[0] == "snapshots":
        return _parse_snapshot(system_id, parts)
    if any(part in ("", ".", "..") for part in parts):
        return None
    return BareKey(system_id, key) if rest.endswith(_BARE_SUFFIXES) else None


def _parse_snapshot(system_id: str, parts: list[str]) -> SnapshotKey | None:
    if len(parts) != 3 or not _FILE_NAME.fullmatch(parts[2]):
        return None
    digits = parts[1]
    if len(digits) != SEQ_DIGITS or not (digits.isascii() and digits.isdigit()) or int(digits) == 0:
        return None
    return SnapshotKey(system_id, int(digits), parts[2])


def parse_head_key(key: str) -> str | None:
    """The system id a `heads/` key names, or None."""
    system_id = key.removeprefix(HEADS)
    return system_id if key.startswith(HEADS) and _SYSTEM_ID.fullmatch(system_id) else None
