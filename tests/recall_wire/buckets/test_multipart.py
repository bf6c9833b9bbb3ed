"""The upload loop: bounded, resumable, exact, and nothing left behind."""

from __future__ import annotations

import hashlib
import random
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from fake_bucket import LONG_AGO, FakeBucket

from recall_wire.buckets import Bucket
from recall_wire.buckets.base import PART_BYTES
from recall_wire.buckets.multipart import abort_stale, upload_file
from recall_wire.buckets.part_sender import BACKOFF_MAX_S, TRIES
from recall_wire.errors import (
    BucketRefused,
    BucketThrottled,
    BucketUnreachable,
    SnapshotInvalid,
    TransientError,
)

KEY = "systems/a/snapshots/000000000001/x.parquet"
PART = 1000


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "spooled"
    path.write_bytes(random.Random(1).randbytes(10 * PART + 7))
    return path


def upload(bucket: Bucket, path: Path, **options: object) -> str:
    data = path.read_bytes()
    settings: dict[str, object] = {
        "sha256": hashlib.sha256(data).hexdigest(),
        "bytes_": len(data),
        "part_bytes": PART,
        "sleep": lambda seconds: None,
    }
    return upload_file(bucket, KEY, path, **(settings | options))  # type: ignore[arg-type]


@pytest.mark.parametrize("size", [0, 1, PART - 1, PART])
def test_a_small_file_is_one_put(tmp_path: Path, size: int) -> None:
    bucket = FakeBucket()
    (tmp_path / "small").write_bytes(b"x" * size)
    upload(bucket, tmp_path / "small")
    assert bucket.calls == ["put"]
    assert bucket.objects == {KEY: b"x" * size}


@pytest.mark.parametrize("size", [PART + 1, 2 * PART, 2 * PART + 1])
def test_a_larger_file_is_cut_into_equal_parts(tmp_path: Path, size: int) -> None:
    bucket = FakeBucket()
    (tmp_path / "big").write_bytes(random.Random(size).randbytes(size))
    etag = upload(bucket, tmp_path / "big")
    assert bucket.head(KEY).etag == etag
    assert bucket.objects[KEY] == (tmp_path / "big").read_bytes()
    assert sum(call.startswith("part") for call in bucket.calls) == -(-size // PART)
    assert bucket.uploads == {}


def test_past_ten_thousand_parts_the_part_size_rises(tmp_path: Path) -> None:
    size = 10_000 * PART + 1
    (tmp_path / "big").write_bytes(b"z" * size)
    bucket = FakeBucket()
    upload(bucket, tmp_path / "big")
    assert len(bucket.objects[KEY]) == size
    assert sum(call.startswith("part") for call in bucket.calls) == -(-size // (1 << 20))


@pytest.mark.parametrize("allowed", [1, 2, 4])
def test_never_more_parts_in_flight_than_allowed(file: Path, allowed: int) -> None:
    bucket = FakeBucket()
    together = threading.Barrier(allowed)

    def wait_for_the_others(number: int) -> None:
        if number <= allowed:  # all of them arrive, or the barrier breaks the test
            together.wait(30)

    bucket.before_part = wait_for_the_others
    upload(bucket, file, parts_in_flight=allowed)
    assert bucket.most_in_flight == allowed


def test_no_part_is_read_before_there_is_room_for_it(file: Path) -> None:
    """Parts 1 to 4 are held back: the file must not be read past them meanwhile."""
    bucket = FakeBucket()
    read: list[int] = []
    four_in = threading.Semaphore(0)
    go_on = threading.Event()

    def hold(number: int) -> None:
        read.append(number)
        four_in.release()
        go_on.wait(30)

    bucket.before_part = hold
    work = threading.Thread(target=upload, args=(bucket, file))
    work.start()
    for _ in range(4):
        assert four_in.acquire(timeout=30)
    assert sorted(read) == [1, 2, 3, 4]
    assert not four_in.acquire(timeout=0.2)
    go_on.set()
    work.join(30)
    assert bucket.objects[KEY] == file.read_bytes()


def test_progress_adds_up_to_the_file(file: Path) -> None:
    seen: list[int] = []
    upload(FakeBucket(), file, progress=seen.append)
    assert sorted(seen) == [7, *[PART] * 10]


@pytest.mark.parametrize("answer_lost", [False, True])
def test_a_failure_at_any_call_leaves_no_orphan_after_a_retry(
    file: Path, answer_lost: bool
) -> None:
    undisturbed = FakeBucket()
    upload(undisturbed, file)
    for nth in range(1, len(undisturbed.calls) + 1):
        bucket = FakeBucket()
        bucket.fail_at, bucket.answer_lost = nth, answer_lost
        for _ in range(2):
            try:
                upload(bucket, file)
                break
            except TransientError:
                continue
        assert bucket.objects == undisturbed.objects, f"call {nth}"
        assert bucket.uploads == {}, f"call {nth}"


@pytest.mark.parametrize("error", [BucketRefused("no"), KeyboardInterrupt(), MemoryError()])
def test_what_is_not_transient_aborts_at_once(file: Path, error: BaseException) -> None:
    undisturbed = FakeBucket()
    upload(undisturbed, file)
    for nth in range(1, len(undisturbed.calls) + 1):
        bucket = FakeBucket()
        bucket.fail_at, bucket.error = nth, error
        survivable = isinstance(error, BucketRefused) and nth <= 2  # listing and looking are extras
        if survivable:
            upload(bucket, file)
        else:
            with pytest.raises(type(error)):
                upload(bucket, file)
        assert bucket.uploads == {}, f"call {nth}"


def test_no_part_is_under_way_when_the_upload_is_aborted(file: Path) -> None:
    """A part that lands after the abort would stay in the bucket, invisible and paid for."""
    bucket = FakeBucket()
    three_in = threading.Barrier(3)

    def part(number: int) -> None:
        if number <= 3:
            three_in.wait(30)
        if number == 1:
            raise BucketRefused("no")

    bucket.before_part = part
    with pytest.raises(BucketRefused):
        upload(bucket, file)
    assert bucket.calls[-1] == "abort"


def test_an_abort_that_fails_does_not_hide_why(file: Path) -> None:
    bucket = FakeBucket()

    def part(number: int) -> None:
        bucket.fail_at = len(bucket.calls) + 1
        raise BucketRefused("no permission")

    bucket.before_part = part
    with pytest.raises(BucketRefused, match="no permission") as caught:
        upload(bucket, file, parts_in_flight=1)
    assert "could not be aborted" in caught.value.__notes__[0]


def break_after(parts: int) -> Callable[[int], None]:
    def part(number: int) -> None:
        if number > parts:
            raise BucketUnreachable("the network is gone")

    return part


def test_an_interrupted_upload_goes_on_where_it_was(file: Path) -> None:
    bucket = FakeBucket()
    bucket.before_part = break_after(6)
    with pytest.raises(BucketUnreachable):
        upload(bucket, file)
    bucket.before_part = lambda number: None
    bucket.calls.clear()
    upload(bucket, file)
    assert sorted(call for call in bucket.calls if call.startswith("part")) == [
        "part 10",
        "part 11",
        "part 7",
        "part 8",
        "part 9",
    ]
    assert "create" not in bucket.calls
    assert bucket.objects[KEY] == file.read_bytes()


def test_of_several_pending_uploads_the_fullest_is_resumed(file: Path) -> None:
    bucket = FakeBucket()
    data = file.read_bytes()
    ids = [bucket.create_multipart(KEY) for _ in range(4)]
    bucket.upload_part(KEY, ids[1], 1, data[:PART])
    for number in (1, 2):
        part = data[(number - 1) * PART : number * PART]
        bucket.upload_part(KEY, ids[2], number, part)
    for number in range(1, 6):  # cut differently: of no use
        bucket.upload_part(KEY, ids[3], number, b"x" * 7)
    other = bucket.create_multipart(KEY + "-of-another-file")
    upload(bucket, file)
    assert bucket.objects[KEY] == data
    assert list(bucket.uploads) == [other]


def test_an_upload_whose_completion_was_not_heard_of_is_not_sent_again(file: Path) -> None:
    bucket = FakeBucket()
    bucket.objects[KEY] = file.read_bytes()
    bucket.create_multipart(KEY)  # a folder bucket that died just after the rename leaves this
    seen: list[int] = []
    upload(bucket, file, progress=seen.append)
    assert not any(call.startswith("part") for call in bucket.calls)
    assert bucket.uploads == {}
    assert sum(seen) == len(file.read_bytes())


@pytest.mark.parametrize("appears_after", [1, TRIES - 1, TRIES, 2 * TRIES])
def test_an_object_that_appears_after_the_answer_was_given_up_is_waited_for(
    file: Path, appears_after: int
) -> None:
    bucket = FakeBucket()
    complete, slept = bucket.complete_multipart, []
    arguments: list[object] = []

    def too_slow(*asked: object) -> str:
        arguments[:] = asked
        raise BucketUnreachable("no answer in time")

    def appear(seconds: float) -> None:
        slept.append(seconds)
        if len(slept) == appears_after:
            complete(*arguments)  # type: ignore[arg-type]

    bucket.complete_multipart = too_slow  # type: ignore[method-assign, assignment]
    if appears_after <= TRIES:
        assert upload(bucket, file, sleep=appear) == bucket.head(KEY).etag
        assert bucket.uploads == {}
    else:
        with pytest.raises(BucketUnreachable, match="no answer in time"):
            upload(bucket, file, sleep=appear)
        assert len(slept) == 2 * (TRIES - 1)  # the answer was asked for twice
        assert len(bucket.uploads) == 1


def test_a_part_is_asked_for_a_bounded_number_of_times(file: Path) -> None:
    bucket = FakeBucket()
    slept: list[float] = []
    tries: list[int] = []

    def part(number: int) -> None:
        tries.append(number)
        raise BucketUnreachable("no")

    bucket.before_part = part
    with pytest.raises(BucketUnreachable):
        upload(bucket, file, parts_in_flight=1, sleep=slept.append)
    assert tries == [1] * TRIES
    assert len(slept) == TRIES - 1
    assert all(0 <= seconds <= BACKOFF_MAX_S for seconds in slept)


def test_backoff_waits_at_least_as_long_as_the_endpoint_asks(tmp_path: Path) -> None:
    (tmp_path / "small").write_bytes(b"x")
    bucket = FakeBucket()
    bucket.fail_at, bucket.error = 1, BucketThrottled("slow down", retry_after_s=9.0)
    slept: list[float] = []
    upload(bucket, tmp_path / "small", sleep=slept.append)
    assert slept == [9.0]
    bucket = FakeBucket()
    bucket.fail_at, bucket.error = 1, BucketThrottled("slow down", retry_after_s=3600.0)
    upload(bucket, tmp_path / "small", sleep=slept.append)
    assert slept[1] == BACKOFF_MAX_S


@pytest.mark.parametrize("size", [10, 10 * PART])
def test_a_damaged_file_never_becomes_an_object(tmp_path: Path, size: int) -> None:
    path = tmp_path / "spooled"
    path.write_bytes(b"x" * size)
    bucket = FakeBucket()
    with pytest.raises(SnapshotInvalid, match="not what it was"):
        upload(bucket, path, sha256=hashlib.sha256(b"y" * size).hexdigest())
    with pytest.raises(SnapshotInvalid):
        upload(bucket, path, bytes_=size + 1)
    assert bucket.objects == {}
    assert bucket.uploads == {}


def test_a_file_that_shrinks_while_it_is_read_is_refused(file: Path) -> None:
    bucket = FakeBucket()
    sha256 = hashlib.sha256(file.read_bytes()).hexdigest()

    def shrink(number: int) -> None:
        with file.open("r+b") as opened:
            opened.truncate(3 * PART)

    bucket.before_part = shrink
    with pytest.raises(SnapshotInvalid):
        upload(bucket, file, parts_in_flight=1, sha256=sha256)
    assert (bucket.objects, bucket.uploads) == ({}, {})


def test_only_uploads_older_than_asked_are_aborted() -> None:
    bucket = FakeBucket()
    for key in ("systems/a/1", "systems/a/2", "systems/b/1"):
        bucket.create_multipart(key)
    assert abort_stale(bucket, "systems/a/", LONG_AGO) == 0
    assert abort_stale(bucket, "systems/a/", LONG_AGO + timedelta(seconds=1)) == 2
    assert [key for key, _ in bucket.uploads.values()] == ["systems/b/1"]


# Over real backends


def test_a_real_upload(bucket: Bucket, tmp_path: Path) -> None:
    path = tmp_path / "spooled"
    path.write_bytes(random.Random(2).randbytes(2 * PART_BYTES + 11))
    etag = upload(bucket, path, part_bytes=PART_BYTES)
    info = bucket.head(KEY)
    assert (info.etag, info.bytes) == (etag, 2 * PART_BYTES + 11)
    sha256 = bucket.download(KEY, tmp_path / "copy", max_bytes=info.bytes)
    assert sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert bucket.list_multipart("") == ()


def test_a_real_upload_resumes(bucket: Bucket, tmp_path: Path) -> None:
    path = tmp_path / "spooled"
    data = random.Random(3).randbytes(2 * PART_BYTES + 11)
    path.write_bytes(data)
    upload_id = bucket.create_multipart(KEY)
    bucket.upload_part(KEY, upload_id, 2, data[PART_BYTES : 2 * PART_BYTES])
    upload(bucket, path, part_bytes=PART_BYTES)
    sha256 = bucket.download(KEY, tmp_path / "copy", max_bytes=len(data))
    assert sha256 == hashlib.sha256(data).hexdigest()
    assert bucket.list_multipart("") == ()


def test_a_real_stale_upload_is_aborted(bucket: Bucket) -> None:
    bucket.create_multipart(KEY)
    assert abort_stale(bucket, "systems/", datetime.now(UTC) + timedelta(minutes=5)) == 1
    assert bucket.list_multipart("") == ()
