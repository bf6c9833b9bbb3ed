"""What was seen in the outbox between two runs, and what a finished run had read."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from plan import SYSTEM
from session import Outcome
from source import Content

from recall_wire import layout
from recall_wire.buckets.base import Bucket
from recall_wire.errors import ObjectNotFound
from recall_wire.layout import MANIFEST, SEQ_DIGITS
from recall_wire.manifest import HEAD_MAX_BYTES, parse_head, sha256_hex

# Said by a run that left some of its source for the next.
_LEFT_SOME = ("the outbox holds", "the time for this run is up")

_NOT_LOOKED_FOR = "stale multipart uploads could not be looked for"


class Spooled:
    """`sha256` of the manifest by number: a number's manifest never changes, but where `voids`
    are allowed. `witnessed`: the source as each run read it that then said it had spooled all."""

    def __init__(self, outbox: Path, bucket: Bucket, *, voids: bool) -> None:
        self._outbox = outbox
        self._bucket = bucket
        self._voids = voids
        self.sha256: dict[int, str] = {}
        self.voided: set[int] = set()
        self.witnessed: list[Content] = []
        self.parts_may_be_left = False

    def look(self) -> None:
        """Raises AssertionError where a number was given twice, or a folder says what is not so:
        of `new/` nothing was sent, and `sent/` is delivered, head and all."""
        seen: dict[int, Path] = {}
        for folder in self._folders():
            seq = int(folder.name[:SEQ_DIGITS])
            assert seq not in seen, f"{folder} and {seen[seq]} have one number"
            seen[seq] = folder
            self._learn(seq, (folder / MANIFEST).read_bytes())
            if folder.parent.name == "new" and seq not in self.voided:
                assert not self._begun(seq), f"{folder} was begun"
        sent = [seq for seq, folder in seen.items() if folder.parent.name == "sent"]
        assert max(sent, default=0) <= self._head_seq(), f"no head covers {max(sent)} in sent/"

    def judge(self, outcome: Outcome) -> None:
        """Raises AssertionError where a run that says it is done has left parts behind, and was
        not refused when it looked for them."""
        if outcome.status in ("committed", "unchanged") and not self.waiting():
            refused = any(_NOT_LOOKED_FOR in warning for warning in outcome.warnings)
            self.parts_may_be_left |= refused
            self.parts_may_be_left &= refused or outcome.status == "unchanged"
            parts = self._bucket.list_multipart("")
            assert self.parts_may_be_left or not parts, f"orphan parts are left: {parts}"

    def witness(self, outcome: Outcome, content: Content) -> None:
        """A run that ended may have spooled all that the source held."""
        whole = outcome.status and not any(
            said in warning for said in _LEFT_SOME for warning in outcome.warnings
        )
        if whole:
            self.witnessed.append(dict(content))

    def waiting(self) -> list[Path]:
        return [folder for folder in self._folders() if folder.parent.name != "sent"]

    def _learn(self, seq: int, manifest: bytes) -> None:
        kind, sha256 = json.loads(manifest)["kind"], sha256_hex(manifest)
        if kind == "void" and seq not in self.voided:
            assert self._voids, f"snapshot {seq} became void, and nothing asked for that"
            self.voided.add(seq)
        elif self.sha256.setdefault(seq, sha256) != sha256:
            raise AssertionError(f"number {seq} was given twice")
        self.sha256[seq] = sha256

    def _begun(self, seq: int) -> bool:
        prefix = layout.snapshot_prefix(SYSTEM, seq)
        objects = [item for page in self._bucket.list(prefix) for item in page.objects]
        return bool(objects or self._bucket.list_multipart(prefix))

    def _head_seq(self) -> int:
        try:
            data = self._bucket.get(layout.head_key(SYSTEM), max_bytes=HEAD_MAX_BYTES)
        except ObjectNotFound:
            return 0
        return parse_head(data, system_id=SYSTEM).seq

    def _folders(self) -> Iterator[Path]:
        for name in ("new", "sending", "sent"):
            folder = self._outbox / name
            if folder.is_dir():
                yield from folder.iterdir()
