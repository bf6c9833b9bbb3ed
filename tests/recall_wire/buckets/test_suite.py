"""One suite over every backend: what `base` promises holds on each of them."""

from __future__ import annotations

import asyncio
import hashlib
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from recall_wire.buckets import AsyncBucket, Bucket
from recall_wire.buckets.base import PART_BYTES, ListPage
from recall_wire.errors import (
    BucketUnreachable,
    LimitExceeded,
    ObjectNotFound,
    ObjectTooShort,
    PreconditionFailed,
    UnsafeKey,
)

HOSTILE_KEYS = [
    "",
    "/absolute",
    "trailing/",
    "a//b",
    ".",
    "..",
    "../outside",
    "a/../../outside",
    "a/./b",
    "a\\b",
    "a\x00b",
    "a\nb",
    "a\x7fb",
    "a\x9fb",
    "lone\ud800surrogate",
    "x" * 1025,
]


async def pages_of(bucket: AsyncBucket, prefix: str, **options: str) -> list[ListPage]:
    return [page async for page in bucket.list(prefix, **options)]


async def keys_of(bucket: AsyncBucket, prefix: str, **options: str) -> list[str]:
    return [info.key for page in await pages_of(bucket, prefix, **options) for info in page.objects]


async def put_all(bucket: AsyncBucket, *keys: str) -> None:
    await asyncio.gather(*(bucket.put(key, key.encode()) for key in keys))


# Objects


@pytest.mark.parametrize("data", [b"", b"\0", b"hello", b"x" * 3_000_000])
async def test_what_was_put_is_read_back(
    any_bucket: AsyncBucket, tmp_path: Path, data: bytes
) -> None:
    etag = await any_bucket.put("systems/a/one", data)
    assert await any_bucket.get("systems/a/one", max_bytes=len(data)) == data
    info = await any_bucket.head("systems/a/one")
    assert (info.key, info.bytes, info.etag) == ("systems/a/one", len(data), etag)
    assert abs(datetime.now(UTC) - info.modified_at) < timedelta(minutes=1)
    sha256 = await any_bucket.download("systems/a/one", tmp_path / "one", max_bytes=len(data))
    assert sha256 == hashlib.sha256(data).hexdigest()
    assert (tmp_path / "one").read_bytes() == data


async def test_listing_head_and_put_agree_on_the_etag(any_bucket: AsyncBucket) -> None:
    first = await any_bucket.put("heads/a", b"1")
    second = await any_bucket.put("heads/a", b"2")
    [page] = await pages_of(any_bucket, "heads/")
    assert first != second
    assert [info.etag for info in page.objects] == [second]
    assert '"' not in second


async def test_keys_beyond_ascii_and_with_odd_characters(any_bucket: AsyncBucket) -> None:
    keys = sorted(["ü/ñ", "a b/c+d", "100%/x", "q?a=1&b=2", "#hash", "日本", "a/..b", "'\"<>&"])
    await put_all(any_bucket, *keys)
    assert await keys_of(any_bucket, "") == sorted(keys, key=str.encode)
    assert [await any_bucket.get(key, max_bytes=100) for key in keys] == [k.encode() for k in keys]


async def test_an_absent_object_is_not_found(any_bucket: AsyncBucket, tmp_path: Path) -> None:
    await any_bucket.put("a/b", b"")
    for key in ("nothing", "a/nothing", "a/b/nothing", "a"):
        with pytest.raises(ObjectNotFound):
            await any_bucket.get(key, max_bytes=1)
        with pytest.raises(ObjectNotFound):
            await any_bucket.head(key)
        with pytest.raises(ObjectNotFound):
            await any_bucket.download(key, tmp_path / "file", max_bytes=1)
    assert not (tmp_path / "file").exists()


async def test_an_object_larger_than_allowed_is_refused(
    any_bucket: AsyncBucket, tmp_path: Path
) -> None:
    await any_bucket.put("big", b"x" * 101)
    with pytest.raises(LimitExceeded):
        await any_bucket.get("big", max_bytes=100)
    with pytest.raises(LimitExceeded):
        await any_bucket.download("big", tmp_path / "file", max_bytes=100)
    assert not (tmp_path / "file").exists()


async def test_a_download_replaces_what_a_crash_left(
    any_bucket: AsyncBucket, tmp_path: Path
) -> None:
    (tmp_path / "file").write_bytes(b"longer than the object")
    await any_bucket.put("a", b"whole")
    await any_bucket.download("a", tmp_path / "file", max_bytes=100)
    assert (tmp_path / "file").read_bytes() == b"whole"


@pytest.mark.parametrize(("start", "length"), [(0, 1), (7, 5), (0, 1000), (999, 1)])
async def test_a_range_is_exactly_its_bytes(
    any_bucket: AsyncBucket, start: int, length: int
) -> None:
    data = bytes(range(250)) * 4
    await any_bucket.put("cold/a", data)
    assert await any_bucket.get_range("cold/a", start, length) == data[start : start + length]


@pytest.mark.parametrize(("start", "length"), [(0, 11), (9, 2), (10, 1), (500, 1), (0, 1 << 40)])
async def test_a_range_beyond_the_end_is_refused(
    any_bucket: AsyncBucket, start: int, length: int
) -> None:
    await any_bucket.put("cold/a", b"0123456789")
    with pytest.raises(ObjectTooShort):
        await any_bucket.get_range("cold/a", start, length)


async def test_a_range_of_what_is_not_there_is_not_found(any_bucket: AsyncBucket) -> None:
    with pytest.raises(ObjectNotFound):
        await any_bucket.get_range("cold/never", 0, 1)


async def test_deleting_is_idempotent(any_bucket: AsyncBucket) -> None:
    await put_all(any_bucket, "a/b/c", "a/d")
    await any_bucket.delete("a/b/c")
    await any_bucket.delete("a/b/c")
    await any_bucket.delete("never/was")
    assert await keys_of(any_bucket, "") == ["a/d"]


@pytest.mark.parametrize("key", HOSTILE_KEYS)
async def test_a_hostile_key_never_reaches_the_backend(
    any_bucket: AsyncBucket, tmp_path: Path, key: str
) -> None:
    with pytest.raises(UnsafeKey):
        await any_bucket.put(key, b"")
    with pytest.raises(UnsafeKey):
        await any_bucket.get(key, max_bytes=1)
    with pytest.raises(UnsafeKey):
        await any_bucket.get_range(key, 0, 1)
    with pytest.raises(UnsafeKey):
        await any_bucket.download(key, tmp_path / "file", max_bytes=1)
    with pytest.raises(UnsafeKey):
        await any_bucket.delete(key)


async def test_a_listing_refuses_a_prefix_that_leaves_the_bucket(any_bucket: AsyncBucket) -> None:
    for prefix in ("../", "a/../../", "/etc/", "a\\b"):
        with pytest.raises(UnsafeKey):
            await pages_of(any_bucket, prefix)


# Create if absent


async def test_create_if_absent_writes_once(any_bucket: AsyncBucket) -> None:
    await any_bucket.put("m", b"first", if_absent=True)
    with pytest.raises(PreconditionFailed):
        await any_bucket.put("m", b"second", if_absent=True)
    assert await any_bucket.get("m", max_bytes=10) == b"first"
    await any_bucket.delete("m")
    await any_bucket.put("m", b"third", if_absent=True)
    assert await any_bucket.get("m", max_bytes=10) == b"third"


# Listing


async def test_an_empty_bucket_lists_as_one_empty_page(any_bucket: AsyncBucket) -> None:
    assert await pages_of(any_bucket, "") == [ListPage((), ())]
    assert await pages_of(any_bucket, "systems/nobody/") == [ListPage((), ())]


async def test_keys_come_in_the_byte_order_of_whole_keys(any_bucket: AsyncBucket) -> None:
    """A folder "a/" sorts after "a-b" and before "a0": not where a directory would put it."""
    keys = ["a-b", "a/b", "a/c/d", "a/c-d", "a0", "B", "a.txt", "z/\U0001f600", "z/\uffee"]
    await put_all(any_bucket, *keys)
    assert await keys_of(any_bucket, "") == sorted(keys, key=str.encode)


async def test_a_prefix_need_not_end_at_a_slash(any_bucket: AsyncBucket) -> None:
    await put_all(any_bucket, "sys/a/1", "sys/ab/2", "sys/b/3", "sysx", "s")
    assert await keys_of(any_bucket, "sys/a") == ["sys/a/1", "sys/ab/2"]
    assert await keys_of(any_bucket, "sys/a/") == ["sys/a/1"]
    assert await keys_of(any_bucket, "sys") == ["sys/a/1", "sys/ab/2", "sys/b/3", "sysx"]


@pytest.mark.parametrize("start_after", ["", "a", "p/0", "p/2", "p/2/", "p/2/x", "p/3", "p/~", "z"])
async def test_start_after_leaves_out_what_is_not_greater(
    any_bucket: AsyncBucket, start_after: str
) -> None:
    keys = ["p/1", "p/2/x", "p/2/y/z", "p/2-", "p/3", "q"]
    await put_all(any_bucket, *keys)
    expected = sorted(key for key in keys if key > start_after and key.startswith("p/"))
    assert await keys_of(any_bucket, "p/", start_after=start_after) == expected


async def test_any_delimiter_rolls_up(any_bucket: AsyncBucket) -> None:
    snapshots = [f"systems/{s}/snapshots/{n:012d}/manifest.json" for s in "ab" for n in (1, 2)]
    await put_all(any_bucket, *snapshots, "systems/a/x.parquet", "systems/c/deep/y.duckdb")
    [page] = await pages_of(any_bucket, "systems/", delimiter="/snapshots/")
    assert [i.key for i in page.objects] == ["systems/a/x.parquet", "systems/c/deep/y.duckdb"]
    assert page.prefixes == ("systems/a/snapshots/", "systems/b/snapshots/")
    [page] = await pages_of(any_bucket, "systems/", delimiter="/")
    assert (page.objects, page.prefixes) == ((), ("systems/a/", "systems/b/", "systems/c/"))
    [page] = await pages_of(any_bucket, "systems/a/", delimiter="apsho")
    assert [i.key for i in page.objects] == ["systems/a/x.parquet"]
    assert page.prefixes == ("systems/a/snapsho",)


async def test_a_page_holds_a_thousand(
    bucket_of_many: tuple[AsyncBucket, list[str]],
) -> None:
    bucket, keys = bucket_of_many
    pages = await pages_of(bucket, "k/")
    assert [len(page.objects) for page in pages] == [1000, 1]
    assert [info.key for page in pages for info in page.objects] == keys
    assert [len(page.objects) for page in await pages_of(bucket, "k/", start_after=keys[0])] == [
        1000
    ]


async def test_a_listing_may_be_left_in_the_middle(any_bucket: AsyncBucket) -> None:
    await put_all(any_bucket, "a/1", "a/2")
    async for page in any_bucket.list(""):
        assert page.objects[0].key == "a/1"
        break
    assert await keys_of(any_bucket, "") == ["a/1", "a/2"]


# For people


async def test_nothing_shown_holds_a_secret(any_bucket: AsyncBucket) -> None:
    with pytest.raises(ObjectNotFound) as caught:
        await any_bucket.get("absent", max_bytes=1)
    for text in (repr(any_bucket), any_bucket.url, str(caught.value), repr(caught.value)):
        assert "secret" not in text
        assert "testing" not in text
    assert any_bucket.url in str(caught.value)


async def test_closing_is_idempotent(any_bucket: AsyncBucket) -> None:
    assert await any_bucket.put("a", b"")
    for _ in range(2):
        assert await any_bucket.close() is None  # type: ignore[func-returns-value]


# Blocking alone: multipart, and threads


def test_parts_become_one_object(bucket: Bucket, tmp_path: Path) -> None:
    big, rest = b"a" * PART_BYTES, b"rest"
    upload_id = bucket.create_multipart("s/big")
    second = bucket.upload_part("s/big", upload_id, 2, rest)
    bucket.upload_part("s/big", upload_id, 1, b"b" * PART_BYTES)
    first = bucket.upload_part("s/big", upload_id, 1, big)  # again: the later one counts
    assert (first.number, first.bytes, second.bytes) == (1, PART_BYTES, len(rest))
    assert bucket.list_parts("s/big", upload_id) == (first, second)
    with pytest.raises(ObjectNotFound):
        bucket.head("s/big")
    etag = bucket.complete_multipart("s/big", upload_id, (first, second))
    assert bucket.head("s/big").etag == etag
    sha256 = bucket.download("s/big", tmp_path / "big", max_bytes=len(big + rest))
    assert sha256 == hashlib.sha256(big + rest).hexdigest()
    assert bucket.list_multipart("") == ()


def test_pending_uploads_are_listed_and_aborted(bucket: Bucket) -> None:
    ids = {key: bucket.create_multipart(key) for key in ("s/a", "s/ab", "t/c")}
    pending = bucket.list_multipart("s/")
    assert [(upload.key, upload.upload_id) for upload in pending] == [
        ("s/a", ids["s/a"]),
        ("s/ab", ids["s/ab"]),
    ]
    # No more than this: moto gives every upload one date of its own.
    assert all(upload.started_at < datetime.now(UTC) + timedelta(minutes=1) for upload in pending)
    assert [upload.key for page in bucket.list("") for upload in page.objects] == []
    for key, upload_id in ids.items():
        bucket.abort_multipart(key, upload_id)
        bucket.abort_multipart(key, upload_id)
    assert bucket.list_multipart("") == ()


def test_an_upload_that_is_gone_is_not_found(
    bucket: Bucket, request: pytest.FixtureRequest
) -> None:
    # moto answers the last two with a traceback and 500.
    gone = BucketUnreachable if "moto" in request.node.name else ObjectNotFound
    upload_id = bucket.create_multipart("s/a")
    part = bucket.upload_part("s/a", upload_id, 1, b"x")
    bucket.abort_multipart("s/a", upload_id)
    with pytest.raises(ObjectNotFound):
        bucket.list_parts("s/a", upload_id)
    with pytest.raises(gone):
        bucket.upload_part("s/a", upload_id, 2, b"x")
    with pytest.raises(gone):
        bucket.complete_multipart("s/a", upload_id, (part,))


def test_one_of_many_that_create_one_key_wins(
    bucket: Bucket, request: pytest.FixtureRequest
) -> None:
    # swift's If-None-Match is known not to be atomic.
    writers = 1 if "swift" in request.node.name else 16

    def create(number: int) -> int | None:
        try:
            bucket.put("race", b"%d" % number, if_absent=True)
        except PreconditionFailed:
            return None
        return number

    with ThreadPoolExecutor(writers) as pool:
        winners = [number for number in pool.map(create, range(writers)) if number is not None]
    assert len(winners) == 1
    assert bucket.get("race", max_bytes=10) == b"%d" % winners[0]


def test_threads_share_a_bucket(bucket: Bucket) -> None:
    def work(number: int) -> bytes:
        bucket.put(f"t/{number}", b"%d" % number)
        return bucket.get(f"t/{number}", max_bytes=10)

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(work, range(40))) == [b"%d" % number for number in range(40)]
