"""What a person gets for a forget: what was done, and what still holds it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from recall_daemon.memory.remains import Holder
from recall_daemon.memory.select import Selected
from recall_daemon.store.selection import Identity

Json = dict[str, Any]

IDS_TOLD = 100


@dataclass(frozen=True)
class Left:
    """What in the bucket holds them: objects of snapshots and other hubs, cold files by number,
    backups by id. `rewritten`: what does not hold them any more, or is gone. `is_known`: whether
    the bucket could be asked."""

    objects: Sequence[Holder]
    cold: Mapping[int, Holder]
    backups: Sequence[str]
    rewritten: Sequence[str] = ()
    is_known: bool = True

    @classmethod
    def unknown(cls) -> Left:
        return cls((), {}, (), is_known=False)

    @property
    def holders(self) -> list[Holder]:
        return [*self.objects, *self.cold.values()]


@dataclass
class Notes:
    """What is found out on the way. `last_row_id`: the newest row of all that was looked at, None
    for whoever may not see all; `same`: how many other memories say the same, and some."""

    last_row_id: int | None = 0
    same: tuple[int, list[Identity]] = (0, [])
    sentences: list[str] = field(default_factory=list)


def receipt(
    chosen: Selected, left: Left, notes: Notes, *, purge_due_at: datetime | None, dry_run: bool
) -> Json:
    """`purge`: done, or pending where the disk still holds freed bytes, until the job `purge` has
    run, at `purge_due_at` or soon after; `bucket`: done, or pending where it could not be looked
    into or rewritten, so that what is named is not all; `forgotten` rows are out of store and
    searches, and the bucket's log says so."""
    new = chosen.to_forget
    count, same = notes.same
    return {
        "dry_run": dry_run,
        "forgotten": len(new),
        "forgotten_before": len(chosen.gone),
        "systems": _per_system(chosen),
        "ids": _told([(row.system_id, row.memory_id) for row in new]),
        "ids_left_out": max(len(new) - IDS_TOLD, 0),
        "last_row_id": notes.last_row_id,
        "purge": "pending" if purge_due_at else "done",
        "purge_due_at": purge_due_at.isoformat() if purge_due_at else None,
        "bucket": "done" if left.is_known else "pending",
        "still_in": [holder.to_json() for holder in left.holders],
        "older_backups": list(left.backups),
        "rewritten": list(left.rewritten),
        "same_text": {"memories": count, "ids": _told(same)},
        "notes": notes.sentences,
    }


def _per_system(chosen: Selected) -> dict[str, int]:
    counts = dict.fromkeys(sorted(chosen.by_system), 0)
    for row in chosen.to_forget:
        counts[row.system_id] += 1
    return counts


def _told(identities: Sequence[Identity]) -> list[str]:
    return [f"{system_id}/{memory_id}" for system_id, memory_id in identities[:IDS_TOLD]]
