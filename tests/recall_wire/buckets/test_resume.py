"""An upload that is cut, killed or lost goes on: nothing is sent twice but what was in flight."""

from __future__ import annotations

import hashlib
import os
import random
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cut_server import CutServer, cut_server, options
from fake_bucket import FakeBucket

from recall_wire.buckets import Bucket, open_bucket
from recall_wire.buckets.base import PART_BYTES
from recall_wire.buckets.multipart import STARTS, abort_stale, upload_file
from recall_wire.errors import BucketUnreachable, TransientError

# Its name says what it holds: parts that lie under a key are therefore always this file's.
KEY = "systems/a/snapshots/000000000001/delta-{sha256}.parquet"
PARTS, IN_FLIGHT = 20, 4
SMALL_PART = 16 * 1024
SOAK = os.environ.get("RECALLD_TEST_SOAK") == "1"


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[str, CutServer]]:
    monkeypatch.setattr("moto.s3.models.S3_UPLOAD_PART_MIN_SIZE", SMALL_PART)
    with cut_server() as running:
        yield running


@pytest.fixture
def bucket(server: tuple[str, CutServer]) -> Iterator[Bucket]:
    opened = open_bucket("s3://memories", options(server[0]))
    yield opened
    opened.close()


def _file(folder: Path, part_bytes: int) -> Path:
    path = folder / "spooled"
    path.write_bytes(random.Random(part_bytes).randbytes((PARTS - 1) * part_bytes + 7))
    return path


def _key(path: Path) -> str:
    return KEY.format(sha256=_sha256(path)[:16])


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _upload(
    bucket: Bucket, path: Path, part_bytes: int = SMALL_PART, progress: list[int] | None = None
) -> str:
    return upload_file(
        bucket,
        _key(path),
        path,
        sha256=_sha256(path),
        bytes_=path.stat().st_size,
        part_bytes=part_bytes,
        parts_in_flight=IN_FLIGHT,
        progress=progress.append if progress is not None else None,
        sleep=lambda seconds: None,
    )


def _check_arrived(bucket: Bucket, path: Path, folder: Path) -> None:
    size = path.stat().st_size
    assert bucket.download(_key(path), folder / "copy", max_bytes=size) == _sha256(path)
    assert bucket.list_multipart("") == ()


# Cut after the Nth part, for every N


def test_cut_after_any_part_only_what_was_in_flight_is_sent_again(tmp_path: Path) -> None:
    path = _file(tmp_path, 1000)
    for cut_after in range(PARTS + 1):
        bucket = FakeBucket()
        arrived: list[int] = []
        network = threading.Lock()

        def through_the_network(
            number: int,
            arrived: list[int] = arrived,
            network: threading.Lock = network,
            cut_after: int = cut_after,
        ) -> None:
            with network:
                if len(arrived) >= cut_after:
                    raise BucketUnreachable("the network is gone")
                arrived.append(number)

        bucket.before_part = through_the_network
        if cut_after < PARTS:
            with pytest.raises(BucketUnreachable):
                _upload(bucket, path, 1000)
        bucket.before_part = arrived.append
        _upload(bucket, path, 1000)
        assert sorted(arrived) == list(range(1, PARTS + 1)), f"cut after {cut_after}"
        assert bucket.objects[_key(path)] == path.read_bytes()
        assert bucket.uploads == {}


def _cut_and_resume(
    server: CutServer, bucket: Bucket, folder: Path, part_bytes: int, cut_after: int
) -> None:
    path = _file(folder, part_bytes)
    server.requests.clear()
    server.stored_parts, server.cut_after = 0, cut_after
    with pytest.raises(TransientError):
        _upload(bucket, path, part_bytes)
    server.mend()
    _upload(bucket, path, part_bytes)
    again = server.part_bytes - path.stat().st_size
    assert 0 <= again <= IN_FLIGHT * part_bytes, f"{again} bytes again after {cut_after} parts"
    assert server.most_in_flight <= IN_FLIGHT
    _check_arrived(bucket, path, folder)
    bucket.delete(_key(path))


@pytest.mark.parametrize("cut_after", range(0, PARTS + 1, 1 if SOAK else 4))
def test_cut_from_a_real_server_after_any_part(
    server: tuple[str, CutServer], bucket: Bucket, tmp_path: Path, cut_after: int
) -> None:
    """Cut after the last one, the parts are all there, and only completing them fails."""
    _cut_and_resume(server[1], bucket, tmp_path, SMALL_PART, cut_after)


@pytest.mark.soak
@pytest.mark.parametrize("cut_after", range(PARTS + 1) if SOAK else (7,))
def test_cut_from_a_real_server_with_parts_of_full_size(
    server: tuple[str, CutServer], bucket: Bucket, tmp_path: Path, cut_after: int
) -> None:
    _cut_and_resume(server[1], bucket, tmp_path, PART_BYTES, cut_after)


def test_the_parts_are_equal_and_only_the_last_is_shorter(
    server: tuple[str, CutServer], bucket: Bucket, tmp_path: Path
) -> None:
    path = _file(tmp_path, SMALL_PART)
    _upload(bucket, path)
    sizes = {request.part: request.bytes for request in server[1].requests if request.part}
    assert sizes == dict.fromkeys(range(1, PARTS), SMALL_PART) | {PARTS: 7}


# Killed


CHILD = """
import sys
from pathlib import Path
from recall_wire.buckets import S3Options, open_bucket
from recall_wire.buckets.multipart import upload_file
url, key, path, sha256, part_bytes = sys.argv[1:]
upload_file(
    open_bucket("s3://memories", S3Options(url, "us-east-1", "key", "secret")),
    key, Path(path), sha256=sha256, bytes_=Path(path).stat().st_size, part_bytes=int(part_bytes),
)
"""


@pytest.mark.parametrize("killed_at", range(1, PARTS + 1) if SOAK else (1, 9, PARTS))
def test_a_killed_process_is_followed_by_one_that_goes_on(
    server: tuple[str, CutServer], bucket: Bucket, tmp_path: Path, killed_at: int
) -> None:
    url, app = server
    path = _file(tmp_path, SMALL_PART)
    command = [sys.executable, "-c", CHILD, url, _key(path), str(path), _sha256(path)]
    started: list[subprocess.Popen[bytes]] = []
    all_known = threading.Event()

    def kill(number: int) -> None:
        if number == killed_at:
            all_known.wait(30)
            started[0].send_signal(signal.SIGKILL)
            started[0].wait()

    app.on_part = kill
    with subprocess.Popen([*command, str(SMALL_PART)]) as child:
        started.append(child)
        all_known.set()
        assert child.wait(60) == -signal.SIGKILL
    app.on_part = lambda number: None
    assert len(bucket.list_multipart("")) == 1
    _upload(bucket, path)
    assert app.part_bytes - path.stat().st_size <= IN_FLIGHT * SMALL_PART
    _check_arrived(bucket, path, tmp_path)


# What else may lie there


def test_an_upload_cut_otherwise_is_aborted_and_another_goes_on(
    server: tuple[str, CutServer], bucket: Bucket, tmp_path: Path
) -> None:
    path = _file(tmp_path, SMALL_PART)
    data, key = path.read_bytes(), _key(path)
    foreign = bucket.create_multipart(key)
    bucket.upload_part(key, foreign, 1, data[: 2 * SMALL_PART])
    ours = bucket.create_multipart(key)
    bucket.upload_part(key, ours, 3, data[2 * SMALL_PART : 3 * SMALL_PART])
    server[1].requests.clear()
    _upload(bucket, path)
    assert 3 not in {request.part for request in server[1].requests}
    _check_arrived(bucket, path, tmp_path)


@pytest.mark.parametrize("gone_at", [1, 7, PARTS])
def test_an_upload_that_vanishes_meanwhile_begins_anew(
    server: tuple[str, CutServer], bucket: Bucket, tmp_path: Path, gone_at: int
) -> None:
    path = _file(tmp_path, SMALL_PART)
    vanished = threading.Event()

    def vanish(number: int) -> None:
        if number == gone_at and not vanished.is_set():
            vanished.set()
            server[1].gone |= {upload.upload_id for upload in bucket.list_multipart("")}
            abort_stale(bucket, "", datetime.max.replace(tzinfo=UTC))

    server[1].on_part = vanish
    told: list[int] = []
    _upload(bucket, path, progress=told)
    assert sum(told) == path.stat().st_size
    _check_arrived(bucket, path, tmp_path)


def test_an_upload_that_vanishes_before_it_is_completed_begins_anew(tmp_path: Path) -> None:
    path = _file(tmp_path, 1000)
    bucket = FakeBucket()
    complete, tries = bucket.complete_multipart, []

    def vanished_once(*arguments: object) -> str:
        tries.append(arguments)
        if len(tries) == 1:
            bucket.uploads.clear()
        return complete(*arguments)  # type: ignore[arg-type]

    bucket.complete_multipart = vanished_once  # type: ignore[method-assign, assignment]
    told: list[int] = []
    _upload(bucket, path, 1000, told)
    assert bucket.objects[_key(path)] == path.read_bytes()
    assert len(tries) == 2
    assert sum(told) == path.stat().st_size


def test_an_upload_that_vanishes_again_and_again_is_left_for_later(tmp_path: Path) -> None:
    path = _file(tmp_path, 1000)
    bucket = FakeBucket()
    bucket.before_part = lambda number: bucket.uploads.clear()
    with pytest.raises(BucketUnreachable, match="lifecycle rule"):
        _upload(bucket, path, 1000)
    assert bucket.calls.count("create") == STARTS
    assert bucket.uploads == {}
