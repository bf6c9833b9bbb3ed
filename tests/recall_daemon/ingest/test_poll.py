"""Which snapshots a listing asks us to fetch, and which numbers nobody believes."""

from __future__ import annotations

from pathlib import Path

from recall_daemon.ingest import poll
from recall_daemon.ingest.poll import MAX_SEQ_JUMP, Found
from recall_daemon.store.ledger import Known
from recall_wire import layout
from recall_wire.buckets import open_async_bucket


def found(*seqs: int, etag: str = "e") -> list[Found]:
    return [Found("a", seq, etag) for seq in seqs]


def seqs(items: list[Found]) -> list[int]:
    return [item.seq for item in items]


def test_what_the_ledger_knows_is_left_out() -> None:
    known = {1: Known("merged", "e"), 2: Known("merging", "e"), 3: Known("waiting", "e")}
    fetch, refuse = poll.sort_out(found(1, 2, 3, 4), known, 4)

    assert (seqs(fetch), seqs(refuse)) == ([4], [])


def test_a_quarantined_snapshot_comes_back_with_a_new_etag_only() -> None:
    known = {1: Known("quarantined", "old")}

    assert seqs(poll.sort_out(found(1, etag="old"), known, 1)[0]) == []
    assert seqs(poll.sort_out(found(1, etag="new"), known, 1)[0]) == [1]


def test_a_number_far_beyond_the_others_is_refused() -> None:
    fetch, refuse = poll.sort_out(found(1, 2, 999_999_999_999), {}, 2)

    assert (seqs(fetch), seqs(refuse)) == ([1, 2], [999_999_999_999])
    assert poll.sort_out(found(999_999_999_999), {}, 999_999_999_999)[0] == []


def test_a_refused_number_does_not_open_the_way_for_the_next() -> None:
    far = 3 + MAX_SEQ_JUMP
    known = {2: Known("merged", "e"), far: Known("refused", "e")}

    assert seqs(poll.sort_out(found(far + 1), known, 2)[1]) == [far + 1]


def test_a_hub_that_starts_late_takes_the_heads_word() -> None:
    assert seqs(poll.sort_out(found(250_001, 250_002), {}, 250_002)[0]) == [250_001, 250_002]


def test_a_refused_number_is_fetched_once_the_others_have_come_near() -> None:
    known = {1: Known("merged", "e"), 10_500: Known("refused", "e")}
    assert poll.sort_out(found(10_500), known, 1) == ([], [])

    assert seqs(poll.sort_out(found(10_500), known | {9_000: Known("merged", "e")}, 1)[0]) == [
        10_500
    ]


async def test_a_listing_starts_after_the_highest_merged(tmp_path: Path) -> None:
    bucket = open_async_bucket(f"file://{tmp_path}")
    for seq in (1, 2, 3):
        await bucket.put(layout.data_key("a", seq, "memories-0.parquet"), b"x")
        await bucket.put(layout.manifest_key("a", seq), b"{}")
    await bucket.put(layout.data_key("a", 4, "memories-0.parquet"), b"uncommitted")

    assert seqs(await poll.new_snapshots(bucket, "a", 0)) == [1, 2, 3]
    assert seqs(await poll.new_snapshots(bucket, "a", 2)) == [3]
    assert seqs([item async for item in poll.all_snapshots(bucket)]) == [1, 2, 3]


async def test_bare_objects_come_with_their_log_and_without_snapshots(tmp_path: Path) -> None:
    bucket = open_async_bucket(f"file://{tmp_path}")
    await bucket.put(layout.manifest_key("a", 1), b"{}")
    await bucket.put("systems/a/deep/er/x.duckdb", b"db")
    await bucket.put("systems/a/deep/er/x.duckdb.wal", b"wal")
    await bucket.put("systems/b/y.parquet", b"p")
    await bucket.put("systems/b/readme.txt", b"t")

    listed = await poll.bare_objects(bucket)

    assert listed is not None
    assert [(b.system_id, b.key, b.wal is not None) for b in listed] == [
        ("a", "systems/a/deep/er/x.duckdb", True),
        ("b", "systems/b/y.parquet", False),
    ]
    before = listed[0].version
    await bucket.put("systems/a/deep/er/x.duckdb.wal", b"longer wal")
    again = await poll.bare_objects(bucket)
    assert again is not None
    assert again[0].version != before


async def test_only_changed_heads_are_news(tmp_path: Path) -> None:
    bucket = open_async_bucket(f"file://{tmp_path}")
    await bucket.put("heads/a", b"1")
    await bucket.put("heads/b", b"1")
    await bucket.put("heads/not a system id!", b"1")
    first = {news.system_id: news.etag for news in await poll.changed_heads(bucket, {})}
    await bucket.put("heads/b", b"2")

    news = await poll.changed_heads(bucket, first)

    assert sorted(first) == ["a", "b"]
    assert [item.system_id for item in news] == ["b"]
