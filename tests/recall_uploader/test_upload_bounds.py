"""The bounds of a run and of the outbox: bytes, age, time. Nothing is lost at any of them."""

from __future__ import annotations

import base64
import json
import random
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from recall_uploader.extract import Request
from recall_uploader.upload import upload
from recall_wire.errors import BucketUnreachable, SourceInvalid


def test_a_full_outbox_is_sent_on_the_way_to_make_room(
    instance_of: Any, database: Any, view: Any, waiting: Any
) -> None:
    small = instance_of(snapshot_max_rows=2, outbox_max_bytes=1 << 20)
    small = replace(small, settings=small.settings.model_copy(update={"outbox_max_bytes": 1}))
    result = upload(small, Request(database.path))
    assert (result.status, result.rows, result.seq) == ("committed", 10, 5)
    assert view.seqs() == [1, 2, 3, 4, 5]
    assert waiting() == []


def test_with_a_full_outbox_and_no_bucket_the_new_rows_stay_in_their_source(
    instance_of: Any, database: Any, view: Any, waiting: Any
) -> None:
    upload(instance_of(), Request(database.path))
    database.add(11, 20)
    away = instance_of(reached=_Gone(), snapshot_max_rows=4)
    away = replace(away, settings=away.settings.model_copy(update={"outbox_max_bytes": 1}))

    result = upload(away, Request(database.path))

    assert (result.status, result.rows) == ("queued", 4)
    assert any("what is new stays in its source" in warning for warning in result.warnings)
    assert waiting() == ["new/000000000002"]
    assert upload(instance_of(), Request(database.path)).seq == 3
    assert len(view.records()) == 20


def test_what_waited_too_long_is_taken_out_and_sent_again_never_the_newest(
    instance_of: Any, database: Any, view: Any, waiting: Any
) -> None:
    def away(days: int) -> Any:
        made = instance_of(reached=_Gone(), outbox_max_age_days=30)
        return replace(made, clock=lambda: made_at + timedelta(days=days))

    made_at = instance_of().clock()
    upload(instance_of(), Request(database.path))
    database.add(11, 12)
    assert upload(away(0), Request(database.path)).status == "queued"
    database.add(13, 13)
    result = upload(away(31), Request(database.path))

    assert any("snapshot 2 waited more than 30 days" in warning for warning in result.warnings)
    assert waiting() == ["failed/000000000002", "new/000000000002", "new/000000000003"]
    assert upload(instance_of(), Request(database.path)).seq == 4
    assert [manifest.kind for manifest in view.manifests()] == ["full", "void", "delta", "delta"]
    assert len(view.records()) == 13


def test_all_of_a_source_goes_through_an_outbox_smaller_than_it(
    instance_of: Any, database: Any, view: Any
) -> None:
    upload(instance_of(), Request(database.path))
    small = instance_of(snapshot_max_rows=2)
    small = replace(small, settings=small.settings.model_copy(update={"outbox_max_bytes": 1}))

    result = upload(small, Request(database.path, full=True))

    assert (result.status, result.rows, result.seq) == ("committed", 10, 6)
    assert [manifest.kind for manifest in view.manifests()] == ["full"] * 6
    assert upload(instance_of(), Request(database.path)).status == "unchanged"


class Clock:
    """Time that passes only when something takes it."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class _Slow:
    """A bucket each of whose writes takes a minute."""

    def __init__(self, inner: Any, clock: Clock) -> None:
        self._inner = inner
        self._clock = clock

    def __getattr__(self, name: str) -> Any:
        call = getattr(self._inner, name)
        if name not in ("put", "upload_part"):
            return call

        def slow(*arguments: Any, **options: Any) -> Any:
            self._clock.now += 60
            return call(*arguments, **options)

        return slow


def test_parts_that_take_their_time_do_not_take_more_than_the_run_has(
    instance_of: Any, tmp_path: Path, bucket: Any, waiting: Any, view: Any
) -> None:
    source = tmp_path / "big.jsonl"
    text = base64.b64encode(random.Random(1).randbytes(24 << 20)).decode()
    source.write_text(json.dumps({"memory_id": "big", "text": text}) + "\n")
    clock = Clock()
    settings = {"upload_timeout_s": 100, "parts_in_flight": 1, "redact": False}
    slow = instance_of(reached=_Slow(bucket, clock), **settings)

    result = upload(replace(slow, monotonic=clock), Request(source))

    assert result.status == "queued"
    assert clock.now <= 240  # two writes are begun in time; nothing is after it
    assert waiting() == ["sending/000000000001"]
    assert upload(instance_of(redact=False), Request(source)).status == "committed"
    assert view.pending_uploads() == 0


def test_a_way_that_only_lacked_time_is_not_left_alone(
    instance_of: Any, database: Any, bucket: Any, view: Any
) -> None:
    upload(instance_of(), Request(database.path))
    database.add(11, 30)
    for _ in range(4):
        clock = Clock()
        slow = instance_of(reached=_Slow(bucket, clock), upload_timeout_s=200, snapshot_max_rows=2)
        result = upload(replace(slow, monotonic=clock), Request(database.path))
        assert not any("rests a while" in warning for warning in result.warnings)
    assert len(view.seqs()) > 4


@pytest.mark.parametrize(("retries", "tries"), [(0, 1), (2, 3), (6, 7)])
def test_data_is_tried_as_often_as_the_settings_say(
    retries: int, tries: int, instance_of: Any, database: Any, bucket: Any
) -> None:
    class NoData:
        puts = 0

        def __getattr__(self, name: str) -> Any:
            return getattr(bucket, name)

        def put(self, key: str, data: bytes, **options: Any) -> str:
            if key.endswith(".parquet"):
                self.puts += 1
                raise BucketUnreachable("nothing answers")
            return str(bucket.put(key, data, **options))

    refusing = NoData()
    instance = instance_of(reached=refusing, retries=retries)
    assert upload(instance, Request(database.path)).status == "queued"
    assert refusing.puts == tries


def test_what_was_delivered_beside_a_source_that_failed_is_told(
    instance_of: Any, database: Any, tmp_path: Path
) -> None:
    told: list[Any] = []
    instance = replace(instance_of(), tell=told.append)
    with pytest.raises(SourceInvalid):
        upload(instance, Request(database.path), Request(tmp_path / "gone.duckdb"))
    assert [(result.status, result.rows) for result in told] == [("committed", 10)]


def test_a_file_that_shrinks_in_the_middle_of_a_run_is_taken_out(
    instance_of: Any, database: Any, bucket: Any, view: Any, tmp_path: Path
) -> None:
    class Shrinking:
        def __getattr__(self, name: str) -> Any:
            return getattr(bucket, name)

        def list(self, prefix: str, **options: Any) -> Any:
            for path in (tmp_path / "state/outbox").glob("*/000000000002/*.parquet"):
                path.write_bytes(b"PAR1")
            return bucket.list(prefix, **options)

    upload(instance_of(), Request(database.path))
    database.add(11, 12)
    result = upload(instance_of(reached=Shrinking()), Request(database.path))
    assert result.status in ("committed", "queued")
    assert upload(instance_of(), Request(database.path)).status == "committed"
    assert len({row["memory_id"] for row in view.records()}) == 12


class _Gone:
    """A bucket that nothing reaches."""

    def __getattr__(self, name: str) -> Any:
        def fail(*_: object, **__: object) -> Any:
            raise BucketUnreachable("nothing answers")

        return (lambda: None) if name == "close" else fail


def test_a_run_whose_time_is_up_spools_and_sends_nothing_more(
    instance_of: Any, database: Any, waiting: Any
) -> None:
    upload(instance_of(), Request(database.path))
    database.add(11, 12)
    seconds = iter(range(0, 100_000, 200))
    late = replace(instance_of(), monotonic=lambda: float(next(seconds)))

    result = upload(late, Request(database.path))

    assert result.status in ("unchanged", "queued")
    assert any("the time for this run is up" in warning for warning in result.warnings)
    assert upload(instance_of(), Request(database.path)).rows == 2
