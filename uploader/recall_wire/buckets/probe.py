"""What an endpoint honours, found by trying it."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from recall_wire.buckets.base import Bucket
from recall_wire.errors import ObjectNotFound, PreconditionFailed, RecallError, TransientError

DELIMITER = "/snapshots/"
_DATA = b"recalld probe\n"
_MAX_BYTES = 1024


@dataclass(frozen=True, slots=True)
class Capabilities:
    """`if_none_match`: a second create-if-absent is refused (two at once are not tried).
    `delimiter`: one longer than "/" is honoured. `problems`: one sentence for each error met.
    """

    writes: bool = False
    reads: bool = False
    lists: bool = False
    if_none_match: bool = False
    start_after: bool = False
    delimiter: bool = False
    multipart: bool = False
    deletes: bool = False
    problems: tuple[str, ...] = ()


def probe(bucket: Bucket, prefix: str) -> Capabilities:
    """Try everything under `prefix`, which ends in a slash, and remove it again.

    A missing capability is a value. So is a bucket that cannot be reached: everything False, and
    the reason in `problems`. Two probes under one prefix do not disturb each other.
    """
    return _Probe(bucket, f"{prefix}{uuid.uuid4().hex}").run()


@dataclass(slots=True)
class _Probe:
    bucket: Bucket
    at: str
    honoured: dict[str, bool] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)

    def run(self) -> Capabilities:
        steps = (
            self._writes,
            self._reads,
            self._lists,
            self._if_none_match,
            self._start_after,
            self._delimiter,
            self._multipart,
            self._deletes,
        )
        for step in steps:
            if not self._try(step):
                break
        self._clean_up()
        return Capabilities(**self.honoured, problems=tuple(dict.fromkeys(self.problems)))

    def _try(self, step: Callable[[], bool]) -> bool:
        """False where the endpoint is gone: the steps left would only wait for it in turn."""
        name = step.__name__.removeprefix("_")
        try:
            self.honoured[name] = step()
        except TransientError as error:
            self.problems.append(str(error))
            return False
        except RecallError as error:
            self.problems.append(str(error))
        return True

    @property
    def _keys(self) -> tuple[str, str, str]:
        return f"{self.at}/1", f"{self.at}/2{DELIMITER}3", f"{self.at}/4"

    def _writes(self) -> bool:
        for key in self._keys:
            self.bucket.put(key, _DATA)
        return True

    def _reads(self) -> bool:
        return self.bucket.get(self._keys[0], max_bytes=_MAX_BYTES) == _DATA

    def _lists(self) -> bool:
        return self._listed() == self._keys

    def _if_none_match(self) -> bool:
        try:
            self.bucket.put(self._keys[0], _DATA, if_absent=True)
        except PreconditionFailed:
            return True
        return False

    def _start_after(self) -> bool:
        return self._listed(start_after=self._keys[0]) == self._keys[1:]

    def _delimiter(self) -> bool:
        expected = (self._keys[0], f"{self.at}/2{DELIMITER}", self._keys[2])
        return self._listed(delimiter=DELIMITER) == expected

    def _multipart(self) -> bool:
        key = f"{self.at}/5"
        upload_id = self.bucket.create_multipart(key)
        part = self.bucket.upload_part(key, upload_id, 1, _DATA)
        if not any(up.upload_id == upload_id for up in self.bucket.list_multipart(key)):
            return False
        self.bucket.complete_multipart(key, upload_id, (part,))
        return self.bucket.get(key, max_bytes=_MAX_BYTES) == _DATA

    def _deletes(self) -> bool:
        self.bucket.delete(self._keys[2])
        try:
            self.bucket.head(self._keys[2])
        except ObjectNotFound:
            return True
        return False

    def _listed(self, *, start_after: str = "", delimiter: str = "") -> tuple[str, ...]:
        pages = self.bucket.list(f"{self.at}/", start_after=start_after, delimiter=delimiter)
        found = [(*page.prefixes, *(info.key for info in page.objects)) for page in pages]
        return tuple(sorted(key for page in found for key in page))

    def _clean_up(self) -> None:
        with self._noted():
            for upload in self.bucket.list_multipart(f"{self.at}/5"):
                self.bucket.abort_multipart(upload.key, upload.upload_id)
        for key in (*self._keys, f"{self.at}/5"):
            with self._noted():
                self.bucket.delete(key)

    @contextmanager
    def _noted(self) -> Iterator[None]:
        try:
            yield
        except RecallError as error:
            self.problems.append(str(error))
