"""What is left in the bucket besides the snapshots: nothing of our own."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from recall_uploader.extract import Request
from recall_uploader.run import open_run
from recall_uploader.upload import upload
from recall_wire.errors import BucketRefused


def test_stale_parts_under_the_own_prefix_are_aborted_and_no_others(
    instance_of: Any, database: Any, bucket: Any, view: Any
) -> None:
    bucket.create_multipart("systems/laptop/snapshots/000000000009/memories-dead.parquet")
    others = "systems/laptop-2/snapshots/000000000001/memories-alive.parquet"
    bucket.create_multipart(others)

    upload(instance_of(), Request(database.path))

    assert [pending.key for pending in bucket.list_multipart("systems/")] == [others]


def test_who_may_not_list_parts_still_delivers(
    instance_of: Any, database: Any, faulty: Any, view: Any
) -> None:
    upload(instance_of(), Request(database.path))
    database.add(11, 11)
    calm = faulty()
    upload(instance_of(reached=calm), Request(database.path))
    assert calm.calls[-1].startswith("list_multipart")
    database.add(12, 12)
    refused = faulty(fail_at=len(calm.calls), error=BucketRefused("not allowed"))

    result = upload(instance_of(reached=refused), Request(database.path))

    assert (result.status, result.seq) == ("committed", 3)
    assert "stale multipart uploads" in result.warnings[0]


def test_stale_parts_that_cannot_be_looked_for_now_are_aborted_by_the_next_run(
    instance_of: Any, database: Any, bucket: Any, faulty: Any, view: Any
) -> None:
    upload(instance_of(), Request(database.path))
    database.add(11, 11)
    calm = faulty()
    upload(instance_of(reached=calm), Request(database.path))
    bucket.create_multipart("systems/laptop/snapshots/000000000009/memories-dead.parquet")
    database.add(12, 12)
    cut = faulty(fail_at=len(calm.calls))

    assert upload(instance_of(reached=cut), Request(database.path)).status == "queued"
    assert (view.head_seq(), view.pending_uploads()) == (3, 1)
    assert upload(instance_of(), Request(database.path)).status == "committed"
    assert (view.seqs(), view.pending_uploads()) == ([1, 2, 3], 0)


def test_what_a_head_covers_is_not_sent_again_whatever_a_hub_took_out_of_it(
    instance_of: Any, database: Any, bucket: Any, faulty: Any, view: Any
) -> None:
    upload(instance_of(), Request(database.path))
    database.add(11, 11)
    calm = faulty()
    upload(instance_of(reached=calm), Request(database.path))
    database.add(12, 12)
    assert upload(instance_of(reached=faulty(fail_at=len(calm.calls))), Request(database.path))
    prefix = "systems/laptop/snapshots/000000000003/"
    (page,) = bucket.list(prefix)
    for item in page.objects:
        bucket.delete(item.key)
    bucket.put(f"{prefix}manifest.json", b"written anew by a hub")

    result = upload(instance_of(), Request(database.path))

    assert result.status == "committed"
    (page,) = bucket.list(prefix)
    assert [item.key for item in page.objects] == [f"{prefix}manifest.json"]
    database.add(13, 13)
    assert upload(instance_of(), Request(database.path)).seq == 4


def test_a_snapshot_is_cut_by_the_weight_of_its_text(
    instance_of: Any, database: Any, view: Any
) -> None:
    from recall_uploader.deliver import deliver
    from recall_uploader.extract import Ground, extract_rows, opened

    request = Request(database.path)
    with open_run(instance_of()) as run:
        ground = Ground.of(run.instance.settings, run.folder, run.patience.deadline)
        with opened(request, ground, run.state) as source:
            extract_rows(source, request, replace(run.spool, max_text_bytes=100))
        deliver(run)

    assert len(view.records()) == 10
    assert len(view.seqs()) >= 3
