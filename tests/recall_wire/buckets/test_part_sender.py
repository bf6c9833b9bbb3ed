"""How a file is cut, and when the sending of its parts ends."""

from __future__ import annotations

import hashlib
import random
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from fake_bucket import FakeBucket

from recall_wire.buckets.base import PART_BYTES
from recall_wire.buckets.multipart import upload_file
from recall_wire.buckets.part_sender import TRIES, Cut, PartSender, Transfer
from recall_wire.errors import BucketRefused, BucketUnreachable, TransientError

KEY, PART, PARTS = "systems/a/x.parquet", 1000, 10


class OutOfTime(TransientError):
    """As a run's own deadline says it."""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "spooled"
    path.write_bytes(random.Random(1).randbytes(PARTS * PART))
    return path


def upload(bucket: FakeBucket, path: Path, **options: object) -> None:
    data = path.read_bytes()
    sha256 = hashlib.sha256(data).hexdigest()
    settings: dict[str, object] = {"part_bytes": PART, "sleep": lambda seconds: None}
    upload_file(  # type: ignore[call-overload]
        bucket, KEY, path, sha256=sha256, bytes_=len(data), **(settings | options)
    )


def nth_raises(nth: int, error: Exception) -> tuple[Callable[[], None], list[int]]:
    """A check that raises when it is made the nth time, and ever after."""
    made: list[int] = []

    def check() -> None:
        made.append(len(made) + 1)
        if len(made) >= nth:
            raise error

    return check, made


@pytest.mark.parametrize(
    ("bytes_", "parts", "part_bytes"),
    [
        (PART_BYTES + 1, 2, PART_BYTES),
        (10_000 * PART_BYTES, 10_000, PART_BYTES),
        (10_000 * PART_BYTES + 1, 8_334, 6 << 20),
        (1 << 40, 9_987, 105 << 20),
        (5 << 40, 9_987, 525 << 20),  # the largest object there may be
    ],
)
def test_never_more_than_ten_thousand_parts_and_all_of_one_size(
    bytes_: int, parts: int, part_bytes: int
) -> None:
    cut = Cut.of(bytes_, PART_BYTES)
    assert (cut.parts, cut.part_bytes) == (parts, part_bytes)
    assert sum(cut.size(number) for number in range(1, cut.parts + 1)) == bytes_
    assert {cut.size(number) for number in range(1, cut.parts)} == {part_bytes}


def test_time_that_runs_out_at_any_moment_keeps_the_parts_that_arrived(file: Path) -> None:
    check, made = nth_raises(10**6, OutOfTime("over"))
    upload(FakeBucket(), file, check=check)
    begun = 3  # which uploads there are, whether it is there, where to begin
    assert len(made) == begun + 2 * PARTS  # before each part is read, and before each try
    for nth in range(begun + 1, len(made) + 1):
        bucket = FakeBucket()
        check, _ = nth_raises(nth, OutOfTime("over"))
        with pytest.raises(OutOfTime):
            upload(bucket, file, check=check)
        arrived = sum(call.startswith("part") for call in bucket.calls)
        (_, parts), *others = bucket.uploads.values()
        assert (len(parts), others) == (arrived, []), f"check {nth}"
        upload(bucket, file)
        assert sum(call.startswith("part") for call in bucket.calls) == PARTS, f"check {nth}"
        assert bucket.objects[KEY] == file.read_bytes()


def test_a_small_file_is_not_begun_when_time_is_up(tmp_path: Path) -> None:
    (tmp_path / "small").write_bytes(b"x")
    bucket = FakeBucket()
    check, _ = nth_raises(1, OutOfTime("over"))
    with pytest.raises(OutOfTime):
        upload(bucket, tmp_path / "small", check=check)
    assert bucket.calls == []


def test_a_wait_that_is_refused_ends_the_upload_and_keeps_the_parts(file: Path) -> None:
    bucket = FakeBucket()

    def part(number: int) -> None:
        if number > 6:
            raise BucketUnreachable("the network is gone")

    def refuse(seconds: float) -> None:
        raise OutOfTime("the wait would pass the end")

    bucket.before_part = part
    with pytest.raises(OutOfTime):
        upload(bucket, file, sleep=refuse)
    ((_, parts),) = bucket.uploads.values()
    assert sorted(parts) == [1, 2, 3, 4, 5, 6]


def test_every_wait_is_the_callers(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def real_sleep(seconds: float) -> None:
        raise AssertionError("a wait of its own")

    bucket = FakeBucket()
    tries: list[int] = []

    def fail_at_first(number: int) -> None:
        tries.append(number)
        if tries.count(number) < TRIES:
            raise BucketUnreachable("not yet")

    bucket.before_part = fail_at_first
    slept: list[float] = []
    monkeypatch.setattr(time, "sleep", real_sleep)
    upload(bucket, file, sleep=slept.append)
    assert len(slept) == PARTS * (TRIES - 1)


def test_a_part_that_waits_is_not_tried_again_once_another_has_failed_for_good(file: Path) -> None:
    """It would be waited for one read timeout longer, and outlive the abort."""
    bucket = FakeBucket()
    waiting = threading.Event()
    tries: list[int] = []

    def part(number: int) -> None:
        tries.append(number)
        if number == 1:
            assert waiting.wait(30)
            raise BucketRefused("no permission")
        raise BucketUnreachable("not now")

    def sleep(seconds: float) -> None:
        waiting.set()
        assert sender._stop.wait(30)

    data = file.read_bytes()
    sha256 = hashlib.sha256(data).hexdigest()
    transfer = Transfer(bucket, KEY, file, sha256, len(data), lambda _: None, sleep, lambda: None)
    bucket.before_part = part
    sender = PartSender(transfer, Cut.of(len(data), PART), bucket.create_multipart(KEY), 4)
    with pytest.raises(BucketRefused):
        sender.send({})
    assert sorted(tries) in ([1, 2], [1, 2, 3], [1, 2, 3, 4])
