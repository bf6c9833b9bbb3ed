"""What a hub will not read: quarantined with its reason, kept, told, and in nobody's way."""

from __future__ import annotations

import json
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from recall_daemon.store.ledger import Place
from recall_wire import layout
from recall_wire.manifest import EmbeddingSpace, sha256_hex
from recall_wire.records import Record, to_batch


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
