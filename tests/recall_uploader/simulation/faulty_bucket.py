"""A real folder bucket behind a bad line."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from shared import Shared
from steps import Steps
from weather import Fault, Weather

from recall_wire.buckets.base import Bucket, ListPage, ObjectInfo, Part, PendingUpload
from recall_wire.errors import (
    BucketRefused,
    BucketThrottled,
    BucketUnreachable,
    RecallError,
    WriteConflict,
)

_T = TypeVar("_T")
_NO_LIE: Any = object()


class FaultyBucket:
    """See `Bucket`. Every call is two steps, before and after; `read_timeout_s` is what a call
    that is never answered costs."""

    def __init__(
        self, inner: Bucket, weather: Weather, steps: Steps, shared: Shared, read_timeout_s: float
    ) -> None:
        self._inner = inner
        self._weather = weather
        self._steps = steps
        self._shared = shared
        self._read_timeout_s = read_timeout_s
        self.url = inner.url

    def list(
        self, prefix: str, *, start_after: str = "", delimiter: str = ""
    ) -> Iterator[ListPage]:
        walk = self._inner.list(prefix, start_after=start_after, delimiter=delimiter)
        fault, pages = self._call("list", prefix, lambda: tuple(walk))
        if fault != "torn":
            yield from pages
            return
        objects = pages[0].objects
        yield ListPage(objects[: len(objects) // 2])
        raise BucketUnreachable("the line was cut in the middle of a listing")

    def get(self, key: str, *, max_bytes: int) -> bytes:
        return self._call("get", key, lambda: self._inner.get(key, max_bytes=max_bytes))[1]

    def head(self, key: str) -> ObjectInfo:
        return self._call("head", key, lambda: self._inner.head(key))[1]

    def put(self, key: str, data: bytes, *, if_absent: bool = False) -> str:
        make = lambda: self._inner.put(key, data, if_absent=if_absent)  # noqa: E731
        return self._call("put", key, make, "nothing")[1]

    def delete(self, key: str) -> None:
        return self._call("delete", key, lambda: self._inner.delete(key))[1]

    def create_multipart(self, key: str) -> str:
        return self._call("create", key, lambda: self._inner.create_multipart(key), "0" * 32)[1]

    def upload_part(self, key: str, upload_id: str, number: int, data: bytes | bytearray) -> Part:
        make = lambda: self._inner.upload_part(key, upload_id, number, data)  # noqa: E731
        return self._call(f"part {number}", key, make, Part(number, "nothing", len(data)))[1]

    def complete_multipart(self, key: str, upload_id: str, parts: tuple[Part, ...]) -> str:
        make = lambda: self._inner.complete_multipart(key, upload_id, parts)  # noqa: E731
        return self._call("complete", key, make, "nothing")[1]

    def abort_multipart(self, key: str, upload_id: str) -> None:
        return self._call("abort", key, lambda: self._inner.abort_multipart(key, upload_id))[1]

    def list_parts(self, key: str, upload_id: str) -> tuple[Part, ...]:
        return self._call("parts", key, lambda: self._inner.list_parts(key, upload_id))[1]

    def list_multipart(self, prefix: str) -> tuple[PendingUpload, ...]:
        return self._call("uploads", prefix, lambda: self._inner.list_multipart(prefix))[1]

    def download(self, *arguments: Any, **options: Any) -> str:
        raise AssertionError("an instance downloads nothing")

    def get_range(self, *arguments: Any, **options: Any) -> bytes:
        raise AssertionError("an instance reads no ranges")

    def close(self) -> None:
        self._inner.close()

    def _call(
        self, name: str, key: str, make: Callable[[], _T], lie: _T = _NO_LIE
    ) -> tuple[Fault | None, _T]:
        what = f"{name} {key}"
        self._steps.step("call", f"before {what}")
        fault = self._weather.fault(what)
        if fault == "lie" and lie is _NO_LIE:
            fault = None
        if fault is not None:
            self._shared.tell(f"    {fault}: {what}")
        self._fail_before(fault, what)
        if fault == "lie":
            return fault, lie
        try:
            with self._steps.beyond_the_line():
                answer = make()
        except RecallError as error:
            self._fail_after(fault, what, error)
            raise
        self._steps.step("call", f"after {what}")
        self._fail_after(fault, what, None)
        return fault, answer

    def _fail_before(self, fault: Fault | None, what: str) -> None:
        if fault == "hang":
            self._shared.sleep(self._read_timeout_s)
        if fault in ("cut", "hang") or (fault == "torn" and not what.startswith("list")):
            raise BucketUnreachable(f"{what}: the line is cut")
        if fault == "throttled":
            raise BucketThrottled(f"{what}: slow down", retry_after_s=self._weather.wait_s())
        if fault == "conflict":
            raise WriteConflict(f"{what}: another write is under way")
        if fault == "refused":
            raise BucketRefused(f"{what}: permission denied")

    def _fail_after(self, fault: Fault | None, what: str, error: RecallError | None) -> None:
        if fault == "late":
            self._shared.sleep(self._read_timeout_s)
        if fault in ("lost", "late"):
            raise BucketUnreachable(f"{what}: no answer") from error
