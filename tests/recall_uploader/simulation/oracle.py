"""What must be true of the bucket, and of the instance, once all is delivered."""

from __future__ import annotations

import hashlib
import io
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence, Set
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from ledger import Spooled
from plan import SYSTEM
from session import Place
from source import Source

from recall_uploader.state import State
from recall_uploader.state_file import STATE_FILE
from recall_wire import layout
from recall_wire.buckets.base import Bucket
from recall_wire.errors import ObjectNotFound
from recall_wire.manifest import (
    MANIFEST_MAX_BYTES,
    Manifest,
    parse_head,
    parse_manifest,
    sha256_hex,
)

Said = dict[str, list[str | None]]
_FORGOTTEN = "(forgotten)"


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One that lies in the bucket, whole and as its manifest says."""

    manifest: Manifest
    sha256: str
    rows: Sequence[dict[str, Any]]


def check(place: Place, source: Source, spooled: Spooled, forgotten: Sequence[str]) -> None:
    """Raises AssertionError with what is wrong."""
    bucket = place.bucket()
    snapshots = list(_snapshots(bucket, spooled.voided))
    _check_numbers(place, bucket, snapshots, spooled)
    _check_nothing_left(place, bucket, snapshots, spooled)
    _check_pushed(place, snapshots)
    quarantined = place.hub.quarantined
    said = _said(snapshots)
    _check_history(said, source, forgotten)
    _check_end(
        place, _said(s for s in snapshots if s.manifest.seq not in quarantined), source, forgotten
    )
    if not spooled.voided:
        _check_witnessed(place, said, spooled, forgotten)
    # Killed between unlearning a snapshot and taking it out, it goes out, and its rows once more.
    if not place.plan.ages and not quarantined:
        _check_once(snapshots)


def _snapshots(bucket: Bucket, voided: Set[int]) -> Iterator[Snapshot]:
    """By number. Every manifest is valid, every file there with its bytes. One that was taken out
    of the outbox may lack some where the bucket lied: no hub reads it, its rows come again."""
    keys = [
        item.key for page in bucket.list(layout.snapshots_prefix(SYSTEM)) for item in page.objects
    ]
    for key in keys:
        parsed = layout.parse_key(key)
        assert isinstance(parsed, layout.SnapshotKey), f"{key} is no object of a snapshot"
        if parsed.is_manifest:
            data = bucket.get(key, max_bytes=MANIFEST_MAX_BYTES)
            manifest = parse_manifest(data, system_id=SYSTEM, seq=parsed.seq)
            try:
                rows = list(_rows(bucket, manifest))
            except ObjectNotFound:
                assert parsed.seq in voided, f"snapshot {parsed.seq} is not whole"
                rows = []
            yield Snapshot(manifest, sha256_hex(data), rows)


def _rows(bucket: Bucket, manifest: Manifest) -> Iterator[dict[str, Any]]:
    for file in manifest.files:
        key = layout.data_key(SYSTEM, manifest.seq, file.name)
        data = bucket.get(key, max_bytes=1 << 24)
        assert hashlib.sha256(data).hexdigest() == file.sha256, f"{key} holds other bytes"
        yield from pq.read_table(io.BytesIO(data)).to_pylist()


def _check_numbers(
    place: Place, bucket: Bucket, snapshots: Sequence[Snapshot], spooled: Spooled
) -> None:
    """Dense from 1, as they were spooled, and head and state agree."""
    numbers = [snapshot.manifest.seq for snapshot in snapshots]
    assert numbers == list(range(1, len(numbers) + 1)), f"the numbers are {numbers}"
    for snapshot in snapshots:
        seq, sha256 = snapshot.manifest.seq, snapshot.sha256
        known = spooled.sha256.get(seq)
        assert known in (sha256, None) or seq in spooled.voided, f"{seq} is not what was spooled"
    assert set(spooled.sha256) <= set(numbers), "what was spooled did not arrive"
    last = snapshots[-1]
    data = bucket.get(layout.head_key(SYSTEM), max_bytes=MANIFEST_MAX_BYTES)
    head = parse_head(data, system_id=SYSTEM)
    assert head.seq == last.manifest.seq, f"the head stands at {head.seq} of {len(numbers)}"
    assert head.manifest_sha256 == last.sha256, "the head names another manifest"
    with closing(State.open(place.state / STATE_FILE, read_only=True)) as state:
        assert state.committed.seq == head.seq, f"the state says that {state.committed} is there"
        assert state.next_seq == head.seq + 1, f"the state goes on with {state.next_seq}"


def _check_nothing_left(
    place: Place, bucket: Bucket, snapshots: Sequence[Snapshot], spooled: Spooled
) -> None:
    outbox = place.state / "outbox"
    assert spooled.waiting() == [], "the outbox is not empty"
    aside = sorted(int(path.name[: layout.SEQ_DIGITS]) for path in (outbox / "failed").iterdir())
    assert set(aside) == spooled.voided, f"failed/ holds {aside}"
    assert not (place.state / "tmp").exists(), "the scratch folder is still there"
    parts = bucket.list_multipart("")
    assert spooled.parts_may_be_left or not parts, f"orphan parts are left: {parts}"
    named = {
        layout.data_key(SYSTEM, s.manifest.seq, file.name)
        for s in snapshots
        for file in s.manifest.files
    } | {layout.manifest_key(SYSTEM, s.manifest.seq) for s in snapshots}
    keys = {item.key for page in bucket.list(layout.SYSTEMS) for item in page.objects}
    orphans = {key for key in keys - named if _number(key) not in spooled.voided}
    assert not orphans, f"objects that no manifest names: {orphans}"


def _number(key: str) -> int | None:
    parsed = layout.parse_key(key)
    return parsed.seq if isinstance(parsed, layout.SnapshotKey) else None


def _check_pushed(place: Place, snapshots: Sequence[Snapshot]) -> None:
    """What the hub was pushed is, row by row, what then came into the bucket."""
    arrived = {snapshot.manifest.seq: snapshot for snapshot in snapshots}
    for seq, sha256 in place.hub.ledger.items():
        assert arrived[seq].sha256 == sha256, f"the hub has another snapshot {seq}"
        batches = sorted(place.hub.batches(seq).glob("*-*-*"))
        if batches:
            pushed = pa.concat_tables([pq.read_table(batch) for batch in batches]).to_pylist()
            assert pushed == arrived[seq].rows, f"snapshot {seq} was pushed with other rows"


def _said(snapshots: Iterable[Snapshot]) -> Said:
    """What was said of each memory, in order: its texts; None where it was deleted."""
    said: Said = defaultdict(list)
    for snapshot in snapshots:
        for row in snapshot.rows:
            text = {"upsert": row["text"], "delete": None, "forget": _FORGOTTEN}[row["op"]]
            said[row["memory_id"]].append(text)
    return said


def _check_history(said: Said, source: Source, forgotten: Sequence[str]) -> None:
    """Nothing was said that the source never said, nor in another order."""
    for memory_id, texts in said.items():
        own = [text for text in texts if text != _FORGOTTEN]
        once = [text for n, text in enumerate(own) if n == 0 or own[n - 1] != text]
        assert _is_within(once, source.history.get(memory_id, [])), f"{memory_id}: {own}"
        assert _FORGOTTEN not in texts or memory_id in forgotten, f"{memory_id} was forgotten"


def _check_end(place: Place, said: Said, source: Source, forgotten: Sequence[str]) -> None:
    """What the hub could read, replayed, is the source."""
    end = {memory_id: texts[-1] for memory_id, texts in said.items() if texts[-1] is not None}
    expected: dict[str, str] = {**source.content, **dict.fromkeys(forgotten, _FORGOTTEN)}
    if place.plan.deletes == "keep":
        end = {memory_id: text for memory_id, text in end.items() if memory_id in expected}
    wrong = {i for i in {*end, *expected} if end.get(i) != expected.get(i)}
    assert not wrong, f"these are not as the source says: {sorted(wrong)}"


def _check_witnessed(place: Place, said: Said, spooled: Spooled, forgotten: Sequence[str]) -> None:
    """Every version that a finished run had read was delivered, also those replaced since."""
    for memory_id in {memory_id for content in spooled.witnessed for memory_id in content}:
        if memory_id not in forgotten:
            seen = [content.get(memory_id) for content in spooled.witnessed]
            if place.plan.deletes == "keep":
                seen = [text for text in seen if text is not None]
            once = [t for n, t in enumerate(seen) if (n and seen[n - 1] != t) or (not n and t)]
            assert _is_within(once, said[memory_id]), f"{memory_id}: {once} in {said[memory_id]}"


def _check_once(snapshots: Sequence[Snapshot]) -> None:
    """Nothing was said again that was said already."""
    for memory_id, texts in _said(snapshots).items():
        again = [text for n, text in enumerate(texts) if n and texts[n - 1] == text]
        assert not again, f"{memory_id} was sent again as it was"


def _is_within(some: Sequence[str | None], all_: Sequence[str | None]) -> bool:
    """Whether `some` is what is left of `all_` without some of its items."""
    left = iter(all_)
    return all(item in left for item in some)
