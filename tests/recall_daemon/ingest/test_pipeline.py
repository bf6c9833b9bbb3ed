"""From the bucket into the store: what is merged, what is quarantined, and who is not delayed."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from recall_wire import layout
from recall_wire.records import Record


async def test_a_committed_snapshot_is_found_by_its_words(
    publisher: Any, open_test_hub: Any
) -> None:
    publisher.publish("a", 1, [Record("m", text="the lighthouse keeper"), Record("n", text="x")])
    async with open_test_hub() as hub:
        report = await hub.once()

        assert (report.merged, report.changed_rows, report.pending) == (1, 2, 0)
        assert hub.search("lighthouse")[0] == "m"
        assert hub.system("a")["complete_to"] == 1
    assert publisher.ack("a").complete_to == 1


async def test_nothing_new_writes_nothing(publisher: Any, open_test_hub: Any) -> None:
    publisher.publish("a", 1, [Record("m", text="one")])
    async with open_test_hub() as hub:
        await hub.once()
        before = counters(hub)
    async with open_test_hub() as hub:
        report = await hub.once()

        assert (report.merged, report.changed_rows) == (0, 0)
        assert counters(hub) == before


def counters(hub: Any) -> object:
    with hub.hub.core.store.read() as connection:
        return (
            connection.execute("SELECT * FROM counters ORDER BY name").fetchall(),
            connection.execute("SELECT count(*) FROM passages").fetchall(),
            connection.execute("SELECT * FROM snapshots").fetchall(),
            connection.execute("SELECT * FROM systems").fetchall(),
        )


async def test_an_upload_without_its_manifest_does_not_exist(
    publisher: Any, open_test_hub: Any
) -> None:
    manifest, data = publisher.manifest("a", 1, [Record("m", text="one")])
    publisher.bucket.put(layout.data_key("a", 1, manifest.files[0].name), data)
    async with open_test_hub() as hub:
        assert (await hub.once()).merged == 0


async def test_a_snapshot_whose_head_was_never_written_is_found_at_start(
    publisher: Any, open_test_hub: Any
) -> None:
    publisher.publish("a", 1, [Record("m", text="one")])
    publisher.bucket.delete(layout.head_key("a"))
    async with open_test_hub() as hub:
        await hub.once()
        assert hub.texts("a") == {"m": "one"}


async def test_a_gap_blocks_nothing_is_told_and_is_filled(
    publisher: Any, open_test_hub: Any
) -> None:
    publisher.publish("a", 1, [Record("m", text="one")])
    publisher.publish("a", 3, [Record("m", text="three")])
    async with open_test_hub() as hub:
        await hub.once()
        assert hub.texts("a") == {"m": "three"}
        assert (hub.system("a")["complete_to"], hub.system("a")["missing"]) == (1, [[2, 2]])
        assert publisher.ack("a").missing == ((2, 2),)

        manifest, data = publisher.manifest("a", 2, [Record("m", text="two"), Record("n")])
        publisher.bucket.put(layout.data_key("a", 2, manifest.files[0].name), data)
        publisher.bucket.put(layout.manifest_key("a", 2), manifest.to_bytes())
        hub.clock[0] += timedelta(minutes=10)
        await hub.once()

        assert hub.texts("a") == {"m": "three", "n": None}
        assert (hub.system("a")["complete_to"], hub.system("a")["missing"]) == (3, [])
    assert publisher.ack("a").missing == ()


async def test_a_void_snapshot_closes_its_number(publisher: Any, open_test_hub: Any) -> None:
    publisher.publish("a", 1, [], kind="void", files=(), rows=0)
    publisher.publish("a", 2, [Record("m", text="x")])
    async with open_test_hub() as hub:
        await hub.once()
        assert hub.system("a")["complete_to"] == 2


async def test_a_head_that_points_at_nothing_is_reported_missing(
    publisher: Any, open_test_hub: Any
) -> None:
    publisher.publish("a", 1, [Record("m", text="one")])
    publisher.head("a", 3, b"absent")
    async with open_test_hub() as hub:
        report = await hub.once()
        assert report.pending == 0
        assert hub.system("a")["missing"] == [[2, 3]]

        publisher.head("a", 888_888_888_888, b"absent")
        await hub.once()
        assert hub.system("a")["missing"] == []
        assert "points at 888888888888" in hub.system("a")["warning"]


async def test_a_damaged_head_does_not_hide_its_snapshots(
    publisher: Any, open_test_hub: Any
) -> None:
    async with open_test_hub() as hub:
        await hub.once()
        publisher.publish("a", 1, [Record("m", text="one")])
        publisher.bucket.put(layout.head_key("a"), b"\xff garbage")
        await hub.once()
        assert hub.texts("a") == {"m": "one"}


async def test_data_that_is_still_syncing_is_waited_for(publisher: Any, open_test_hub: Any) -> None:
    manifest = publisher.publish("a", 1, [Record("m", text="one")])
    key = layout.data_key("a", 1, manifest.files[0].name)
    whole = publisher.bucket.get(key, max_bytes=1 << 20)
    publisher.bucket.delete(key)
    publisher.publish("b", 1, [Record("m", text="b")])
    async with open_test_hub() as hub:
        report = await hub.poll()
        assert (report.merged, report.quarantined, report.pending) == (1, 0, 1)
        assert hub.system("a")["lag_s"] == 0
        publisher.bucket.put(key, whole[:-5])
        hub.clock[0] += timedelta(hours=1)
        assert (await hub.poll()).pending == 1
        assert hub.system("a")["lag_s"] == 3600
        publisher.bucket.put(key, whole)
        assert (await hub.poll()).merged == 1
        assert hub.texts("a") == {"m": "one"}


async def test_data_that_never_comes_is_quarantined_after_its_time(
    publisher: Any, open_test_hub: Any
) -> None:
    manifest = publisher.publish("a", 1, [Record("m", text="one")])
    publisher.bucket.delete(layout.data_key("a", 1, manifest.files[0].name))
    async with open_test_hub() as hub:
        await hub.poll()
        hub.clock[0] += timedelta(days=1, seconds=1)
        assert (await hub.poll()).quarantined == 1
        assert "is not there yet" in hub.system("a")["quarantined"][0]["reason"]


async def test_a_vector_is_used_only_in_the_hubs_own_space(
    publisher: Any, open_test_hub: Any
) -> None:
    vector = (1.0,) + (0.0,) * 383
    async with open_test_hub() as hub:
        own = hub.hub.core.embedder.get().space
        foreign = own.model_copy(update={"revision": "another"})
        publisher.publish("a", 1, [Record("m", text="own", embedding=vector)], embedding=own)
        publisher.publish("b", 1, [Record("m", text="other", embedding=vector)], embedding=foreign)
        await hub.once()
        with hub.hub.core.store.read() as connection:
            found = connection.execute(
                "SELECT text, vector[1] FROM passages v JOIN memories m USING (text_hash)"
            ).fetchall()
    values = dict(found)
    assert values["own"] == 1.0
    assert values["other"] != 1.0


async def test_two_instances_with_one_system_id_are_noticed(
    publisher: Any, open_test_hub: Any
) -> None:
    publisher.publish("a", 1, [Record("m", text="one")])
    publisher.publish("a", 2, [Record("m", text="two")], instance_id="another")
    async with open_test_hub() as hub:
        await hub.once()
        assert "another instance" in hub.system("a")["warning"]


def database(publisher: Any, text: str) -> bytes:
    """A file of one memory, as another tool might put it there."""
    data: bytes = publisher.manifest("a", 1, [Record("m", text=text)])[1]
    return data


async def test_bare_snapshots_are_merged_again_only_when_they_change(
    publisher: Any, open_test_hub: Any
) -> None:
    bucket = publisher.bucket
    bucket.put("systems/a/mine.parquet", database(publisher, "one"))
    async with open_test_hub() as hub:
        assert (await hub.once()).merged == 1
        assert hub.texts("a") == {"m": "one"}
        hub.clock[0] += timedelta(minutes=6)
        assert (await hub.once()).merged == 0

        publisher.publish("a", 1, [Record("m", text="two")])
        await hub.once()
        assert hub.texts("a") == {"m": "two"}

        bucket.put("systems/a/mine.parquet", database(publisher, "three"))
        bucket.put("systems/a/broken.parquet", b"PAR1 broken")
        hub.clock[0] += timedelta(minutes=6)
        report = await hub.once()
        assert (report.merged, report.quarantined) == (1, 1)
        assert hub.texts("a") == {"m": "three"}
        hub.clock[0] += timedelta(minutes=6)
        assert (await hub.once()).quarantined == 0
        hub.verify()


async def test_a_full_disk_pauses_ingest_and_leaves_search_alone(
    publisher: Any, open_test_hub: Any
) -> None:
    from recall_daemon.errors import DiskFull

    publisher.publish("a", 1, [Record("m", text="one")])
    async with open_test_hub() as hub:
        await hub.once()
    async with open_test_hub(min_free_bytes=1 << 62) as hub:
        with pytest.raises(DiskFull, match="ingest goes on when"):
            await hub.poll()
        await hub.hub.finish()
        assert hub.search("one") == ["m"]


async def test_systems_take_turns_so_a_flood_delays_nobody(
    publisher: Any, open_test_hub: Any
) -> None:
    for seq in range(1, 21):
        publisher.publish("flood", seq, [Record(f"m{seq}", text="x")])
    publisher.publish("small", 1, [Record("m", text="y")])
    async with open_test_hub(concurrency=1) as hub:
        await hub.poll()
        with hub.hub.core.store.read() as connection:
            found = connection.execute(
                "SELECT system_id FROM memories ORDER BY change_no LIMIT 3"
            ).fetchall()
    assert ("small",) in found


async def test_the_whole_bucket_is_compared_again_every_day(
    publisher: Any, open_test_hub: Any
) -> None:
    async with open_test_hub() as hub:
        await hub.poll()
        publisher.publish("a", 1, [Record("m", text="one")])
        publisher.bucket.delete(layout.head_key("a"))
        assert (await hub.poll()).merged == 0
        hub.clock[0] += timedelta(days=1)
        assert (await hub.poll()).merged == 1
