"""The bounds of a run and of the outbox: bytes, age, time. Nothing is lost at any of them."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

from recall_uploader.extract import Request
from recall_uploader.upload import upload
from recall_wire.errors import BucketUnreachable


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
