"""From the bucket into the store: what is merged, what is quarantined, and who is not delayed."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from recall_wire import layout
from recall_wire.errors import SnapshotInvalid
from recall_wire.manifest import EmbeddingSpace, sha256_hex
from recall_wire.records import Record, to_batch


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
            connection.execute("SELECT count(*) FROM vectors").fetchall(),
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


def changed(**changes: object) -> Any:
    """Publishes a snapshot whose manifest JSON is changed after the fact."""

    def publish(publisher: Any) -> None:
        manifest = publisher.publish("bad", 1, [Record("m", text="x")])
        publisher.commit("bad", 1, json.dumps(json.loads(manifest.to_bytes()) | changes).encode())

    return publish


def changed_file(**changes: object) -> Any:
    def publish(publisher: Any) -> None:
        manifest = publisher.publish("bad", 1, [Record("m", text="x")])
        body = json.loads(manifest.to_bytes())
        body["files"][0] |= changes
        publisher.commit("bad", 1, json.dumps(body).encode())

    return publish


def raw_manifest(data: bytes) -> Any:
    return lambda publisher: publisher.commit("bad", 1, data)


def wrong_bytes(publisher: Any) -> None:
    manifest = publisher.publish("bad", 1, [Record("m", text="x")])
    key = layout.data_key("bad", 1, manifest.files[0].name)
    publisher.bucket.put(key, b"\0" * manifest.files[0].bytes)


def longer_bytes(publisher: Any) -> None:
    manifest = publisher.publish("bad", 1, [Record("m", text="x")])
    key = layout.data_key("bad", 1, manifest.files[0].name)
    publisher.bucket.put(key, b"\0" * (manifest.files[0].bytes + 1))


def data_file(make: Any, **changes: object) -> Any:
    """Publishes any bytes as the data object, with a manifest that fits them."""

    def publish(publisher: Any) -> None:
        data = make()
        sha256 = sha256_hex(data)
        manifest, _ = publisher.manifest("bad", 1, [Record("m")])
        name = f"memories-{sha256[:16]}.parquet"
        file = manifest.files[0].model_copy(
            update={"name": name, "sha256": sha256, "bytes": len(data)}
        )
        manifest = manifest.model_copy(update={"files": (file,), **changes})
        publisher.bucket.put(layout.data_key("bad", 1, name), data)
        publisher.commit("bad", 1, manifest.to_bytes())

    return publish


def parquet(table: pa.Table) -> bytes:
    buffer = pa.BufferOutputStream()
    pq.write_table(table, buffer)
    return bytes(buffer.getvalue())


def other_system() -> bytes:
    return parquet(pa.Table.from_batches([to_batch([Record("m", target_system="victim")])]))


def wrong_vector() -> bytes:
    return parquet(pa.Table.from_batches([to_batch([Record("m", embedding=(1.0, 2.0))])]))


SPACE = EmbeddingSpace(model="m", revision="r", dim=3, normalized=True)

POISON = {
    "no JSON": (raw_manifest(b"{nope"), "manifest 1 of bad is not valid"),
    "not UTF-8": (raw_manifest(b"\xff\xfe\x00"), "manifest 1 of bad is not valid"),
    "empty": (raw_manifest(b""), "manifest 1 of bad is not valid"),
    "huge manifest": (raw_manifest(b" " * (2 << 20)), "larger than a manifest may be"),
    "unknown version": (changed(version=2), "version"),
    "unknown format": (changed(format="other"), "format"),
    "another system": (changed(system_id="victim"), "says it is manifest 1 of victim"),
    "another number": (changed(seq=7), "says it is manifest 7 of bad"),
    "encrypted": (changed(encryption={"age": 1}), "is encrypted"),
    "path in a name": (changed_file(name="../../victim/x.parquet"), "not a plain data file name"),
    "wrong checksum": (changed_file(sha256="0" * 64, name="m-" + "0" * 64), "may still be syncing"),
    "a billion rows": (changed_file(rows=10**9), "rows are more than 50000"),
    "other bytes": (wrong_bytes, "has sha256"),
    "longer than told": (longer_bytes, "is larger than"),
    "not Parquet": (data_file(lambda: b"PAR1 nothing of the kind PAR1"), "Parquet"),
    "other row count": (data_file(lambda: parquet(pa.table({"memory_id": ["a", "b"]}))), "rows"),
    "no ids": (data_file(lambda: parquet(pa.table({"text": ["a"]}))), "memory_id"),
    "wrong type": (
        data_file(lambda: parquet(pa.table({"memory_id": ["a"], "created_at": ["noon"]}))),
        "created_at",
    ),
    "another system's memories": (data_file(other_system), "victim"),
    "wrong vector": (data_file(wrong_vector, embedding=SPACE), "2 numbers"),
}
POISON.pop("wrong checksum")  # its object is absent under that name: it waits, see below


@pytest.mark.parametrize("poison", POISON)
async def test_a_bad_snapshot_is_quarantined_with_its_reason_and_delays_no_other(
    publisher: Any, open_test_hub: Any, poison: str
) -> None:
    make, reason = POISON[poison]
    make(publisher)
    publisher.publish("good", 1, [Record("m", text="fine")])
    async with open_test_hub() as hub:
        report = await hub.poll()

        assert (report.merged, report.quarantined, report.pending) == (1, 1, 0)
        assert hub.texts("good") == {"m": "fine"}
        assert hub.texts("bad") == {}
        listed = hub.hub.core.operations.quarantine_list()["quarantined"]
        assert [entry["system_id"] for entry in listed] == ["bad"]
        assert reason in listed[0]["reason"]
        assert "\n" not in listed[0]["reason"]
        assert (await hub.poll()).quarantined == 0
        hub.verify()
    ack = publisher.ack("bad")
    assert reason in ack.quarantined[0].reason
    assert ack.complete_to == 0


async def test_a_bad_snapshot_does_not_block_the_next_of_its_system(
    publisher: Any, open_test_hub: Any
) -> None:
    publisher.commit("a", 1, b"{nope")
    publisher.publish("a", 2, [Record("m", text="two")])
    async with open_test_hub() as hub:
        await hub.once()
        assert hub.texts("a") == {"m": "two"}
        assert hub.system("a")["complete_to"] == 0


async def test_quarantine_is_retried_by_command_and_by_a_new_manifest(
    publisher: Any, open_test_hub: Any
) -> None:
    publisher.commit("a", 1, b"{nope")
    async with open_test_hub() as hub:
        await hub.once()
        operations = hub.hub.core.operations
        place = hub.hub.core.operations.quarantine_list()["quarantined"][0]
        assert (place["seq"], place["sub"]) == (1, 0)

        from recall_daemon.store.ledger import Place

        operations.quarantine_retry(Place("a", 1))
        assert (await hub.poll()).quarantined == 1

        publisher.publish("a", 1, [Record("m", text="mended")])
        await hub.poll()
        assert hub.texts("a") == {"m": "mended"}
        assert operations.quarantine_list() == {"quarantined": []}
        assert hub.system("a")["complete_to"] == 1


async def test_a_dropped_snapshot_no_longer_holds_up_completeness(
    publisher: Any, open_test_hub: Any
) -> None:
    from recall_daemon.store.ledger import Place

    publisher.commit("a", 1, b"{nope")
    publisher.publish("a", 2, [Record("m", text="two")])
    async with open_test_hub() as hub:
        await hub.once()
        hub.hub.core.operations.quarantine_drop(Place("a", 1))
        assert hub.system("a")["complete_to"] == 2
        assert (await hub.once()).merged == 0


async def test_an_unbelievable_number_is_refused_and_moves_nothing(
    publisher: Any, open_test_hub: Any
) -> None:
    publisher.publish("a", 1, [Record("m", text="one")])
    async with open_test_hub() as hub:
        await hub.once()
        publisher.publish("a", 999_999_999_999, [Record("m", text="far")])
        await hub.once()
        assert hub.texts("a") == {"m": "one"}
        assert hub.system("a")["missing"] == []
        assert "far beyond" in hub.system("a")["quarantined"][0]["reason"]

        publisher.publish("a", 2, [Record("m", text="two")])
        await hub.once()
        assert hub.texts("a") == {"m": "two"}
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
                "SELECT text, vector[1] FROM vectors v JOIN memories m USING (text_hash)"
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


async def test_bare_snapshots_are_merged_again_only_when_they_change(
    publisher: Any, open_test_hub: Any
) -> None:
    bucket = publisher.bucket
    bucket.put("systems/a/mine.parquet", parquet(pa.table({"memory_id": ["m"], "text": ["one"]})))
    async with open_test_hub() as hub:
        assert (await hub.once()).merged == 1
        assert hub.texts("a") == {"m": "one"}
        hub.clock[0] += timedelta(minutes=6)
        assert (await hub.once()).merged == 0

        publisher.publish("a", 1, [Record("m", text="two")])
        await hub.once()
        assert hub.texts("a") == {"m": "two"}

        table = pa.table({"memory_id": ["m"], "text": ["three"]})
        bucket.put("systems/a/mine.parquet", parquet(table))
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


async def test_a_pushed_snapshot_is_the_same_snapshot(
    publisher: Any, open_test_hub: Any, tmp_path: Any
) -> None:
    manifest, data = publisher.manifest("a", 1, [Record("m", text="pushed")])
    file = tmp_path / "pushed.parquet"
    file.write_bytes(data)
    files = {manifest.files[0].name: file}
    async with open_test_hub() as hub:
        push = hub.hub.pipeline.receive
        assert (await push("a", 1, manifest.to_bytes(), files)).changed == 1
        assert (await push("a", 1, manifest.to_bytes(), files)).changed == 0

        publisher.publish("a", 1, [Record("m", text="pushed")])
        assert (await hub.once()).changed_rows == 0
        assert hub.texts("a") == {"m": "pushed"}

        other, _ = publisher.manifest("a", 1, [Record("m", text="pushed")], machine="other")
        with pytest.raises(SnapshotInvalid, match="was not sent"):
            await push("a", 2, publisher.manifest("a", 2, [Record("m")])[0].to_bytes(), {})
        from recall_daemon.errors import SnapshotClash

        with pytest.raises(SnapshotClash, match="another snapshot 1 of a"):
            await push("a", 1, other.to_bytes(), files)


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
