"""Requests to the bucket are counted where they are made, by kind and by how they end."""

from __future__ import annotations

import math
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from recall_daemon.counted import CountedAsyncBucket, CountedBucket
from recall_daemon.metrics import BUCKET_REQUESTS
from recall_wire.buckets import open_async_bucket, open_bucket
from recall_wire.buckets.base import LIST_PAGE_KEYS, AsyncBucket, Bucket
from recall_wire.errors import (
    BucketRefused,
    BucketUnreachable,
    ObjectNotFound,
    PreconditionFailed,
)


def counted() -> Counter[tuple[str, str]]:
    """(kind, outcome) of every request so far."""
    [family] = BUCKET_REQUESTS.collect()
    return Counter(
        {
            (sample.labels["kind"], sample.labels["outcome"]): int(sample.value)
            for sample in family.samples
        }
    )


async def test_each_call_is_one_request_of_its_kind(tmp_path: Path) -> None:
    bucket: AsyncBucket = CountedAsyncBucket(open_async_bucket(f"file://{tmp_path}"))
    before = counted()
    await bucket.put("a", b"one")
    with pytest.raises(PreconditionFailed):
        await bucket.put("a", b"two", if_absent=True)
    await bucket.get("a", max_bytes=10)
    await bucket.get_range("a", 0, 1)
    await bucket.download("a", tmp_path / "down", max_bytes=10)
    await bucket.head("a")
    with pytest.raises(ObjectNotFound):
        await bucket.get("b", max_bytes=10)
    assert [len(page.objects) async for page in bucket.list("")] == [2]
    await bucket.delete("a")
    await bucket.close()
    assert counted() - before == Counter(
        {
            ("put", "ok"): 2,
            ("get", "ok"): 3,
            ("get", "absent"): 1,
            ("head", "ok"): 1,
            ("list", "ok"): 1,
            ("delete", "ok"): 1,
        }
    )


def test_a_page_is_a_request_and_so_is_a_part(tmp_path: Path) -> None:
    bucket: Bucket = CountedBucket(open_bucket(f"file://{tmp_path}"))
    names = 2 * LIST_PAGE_KEYS + 1
    (tmp_path / "many").mkdir()
    for number in range(names):
        (tmp_path / "many" / f"{number:05}").touch()
    before = counted()
    assert sum(len(page.objects) for page in bucket.list("many/")) == names
    upload = bucket.create_multipart("big")
    parts = tuple(bucket.upload_part("big", upload, n, b"x" * 10) for n in (1, 2))
    assert bucket.list_parts("big", upload) == parts
    bucket.abort_multipart("big", upload)
    bucket.close()
    assert counted() - before == Counter(
        {
            ("list", "ok"): math.ceil(names / LIST_PAGE_KEYS) + 1,
            ("multipart", "ok"): 2,
            ("put", "ok"): 2,
        }
    )


class Failing:
    """A bucket that answers every `head` and `list` with one error."""

    url = "file:///nowhere"

    def __init__(self, error: Exception) -> None:
        self._error = error

    def head(self, key: str) -> Any:
        raise self._error

    def list(self, prefix: str, **_: str) -> Any:
        raise self._error


@pytest.mark.parametrize(
    ("error", "outcome"), [(BucketUnreachable("x"), "unreachable"), (BucketRefused("x"), "refused")]
)
def test_failures_are_told_apart(error: Exception, outcome: str) -> None:
    bucket = CountedBucket(Failing(error))  # type: ignore[arg-type]
    before = counted()
    with pytest.raises(type(error)):
        bucket.head("a")
    with pytest.raises(type(error)):
        list(bucket.list(""))
    assert counted() - before == Counter({("head", outcome): 1, ("list", outcome): 1})


async def test_an_idle_poll_is_counted_as_one_list(open_test_hub: Any, publisher: Any) -> None:
    publisher.publish("a", 1, [])
    async with open_test_hub() as hub:
        await hub.poll()
        before = counted()
        await hub.poll()
        assert counted() - before == Counter({("list", "ok"): 1})
