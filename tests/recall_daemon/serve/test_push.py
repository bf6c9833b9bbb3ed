"""Pushing over HTTP: what each call answers, to a client that keeps to the form and to others."""

from __future__ import annotations

import io
from dataclasses import replace
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from recall_daemon.ingest.pushed import BATCH_MAX_BYTES
from recall_daemon.serve.push import PARQUET
from recall_daemon.store import events
from recall_wire.manifest import sha256_hex
from recall_wire.records import Record, to_batch

ROWS = [Record(f"m{n}", text=f"memory {n}") for n in range(5)]
TEXTS = {row.memory_id: row.text for row in ROWS}


async def test_what_was_pushed_is_merged_and_found(open_test_hub: Any, pusher: Any) -> None:
    async with open_test_hub() as hub:
        push = pusher(hub, "a", 1, [*ROWS, Record("m0", op="delete")])
        opened = await push.open()
        assert (opened.status_code, opened.json()) == (200, {"state": "open", "have": []})
        for number in (1, 2, 3):
            staged = await push.stage(number)
            assert (staged.status_code, staged.json()) == (200, {"number": number, "rows": 2})
        done = await push.commit()
        assert done.status_code == 200
        assert done.json() == {
            **{"status": "merged", "system_id": "a", "seq": 1},
            **{"rows": 5, "deletes": 1, "changed": 5},
        }
        await hub.hub.finish()
        assert hub.search("memory 3")[0] == "m3"
        assert hub.texts("a") == {name: text for name, text in TEXTS.items() if name != "m0"}
        hub.verify()


async def test_every_call_may_be_repeated(open_test_hub: Any, pusher: Any) -> None:
    async with open_test_hub() as hub:
        push = pusher(hub, "a", 1, ROWS)
        for _ in range(2):
            await push.open()
        for number in (1, 3, 1, 2, 2):
            assert (await push.stage(number)).status_code == 200
        assert (await push.commit()).json()["changed"] == 5
        assert (await push.commit()).json() == {
            **{"status": "merged", "system_id": "a", "seq": 1},
            **{"rows": 5, "deletes": 0, "changed": 0},
        }
        assert (await push.open()).json() == {"state": "merged", "have": []}
        assert (await push.stage(1)).json()["code"] == "push_not_open"


async def test_a_cut_push_hears_what_is_there(open_test_hub: Any, pusher: Any) -> None:
    async with open_test_hub() as hub:
        push = pusher(hub, "a", 1, ROWS)
        await push.open()
        await push.stage(3)
        await push.stage(1)
        assert (await push.open()).json()["have"] == [
            {"number": number, "rows": rows, "sha256": sha256_hex(data)}
            for number, (data, rows) in ((1, push.batches[0]), (3, push.batches[2]))
        ]
        missing = await push.commit()
        assert (missing.status_code, missing.json()["code"]) == (409, "batches_missing")
        assert missing.json()["missing"] == [2]


async def test_a_batch_of_an_earlier_cut_is_not_merged(open_test_hub: Any, pusher: Any) -> None:
    async with open_test_hub() as hub:
        await (first := pusher(hub, "a", 1, ROWS, 3)).open()
        await first.stage(1)
        again = pusher(hub, "a", 1, ROWS, 2)
        await again.open()
        for number in (2, 3):
            await again.stage(number)
        assert (await again.commit()).json()["missing"] == [1]
        await again.stage(1)
        assert (await again.commit()).json()["changed"] == 5


async def test_a_void_snapshot_has_no_batches(open_test_hub: Any, pusher: Any) -> None:
    async with open_test_hub() as hub:
        done = await pusher(hub, "a", 1, [], kind="void", files=()).all()
        assert (done.json()["status"], done.json()["rows"]) == ("merged", 0)
        assert hub.system("a")["complete_to"] == 1


async def test_what_the_hub_has_of_a_system(
    open_test_hub: Any, pusher: Any, publisher: Any
) -> None:
    async with open_test_hub() as hub:
        push = pusher(hub, "a", 4, ROWS)
        never = (await push.http.get("/v1/push/a")).json()
        assert never == {
            **{"system_id": "a", "highest_seq": 0, "manifest_sha256": None, "machine": None},
            **{"instance_id": None, "complete_to": 0, "missing": [], "quarantined": []},
        }
        publisher.commit("a", 3, b"{poison")
        publisher.publish("a", 1, ROWS)
        await hub.once()
        await push.all()
        told = (await push.http.get("/v1/push/a")).json()
        assert (told["highest_seq"], told["manifest_sha256"]) == (4, push.sha256)
        assert (told["machine"], told["instance_id"]) == ("m", "i")
        assert (told["complete_to"], told["missing"]) == (1, [[2, 2]])
        assert [line["seq"] for line in told["quarantined"]] == [3]
        publisher.head("a", 9, b"")
        await hub.poll()
        told = (await push.http.get("/v1/push/a")).json()
        assert (told["highest_seq"], told["manifest_sha256"]) == (9, None)


async def test_another_snapshot_of_that_number_is_a_clash(open_test_hub: Any, pusher: Any) -> None:
    async with open_test_hub() as hub:
        await pusher(hub, "a", 1, ROWS).all()
        for _ in range(2):
            refused = await pusher(hub, "a", 1, ROWS, instance_id="other").open()
            assert (refused.status_code, refused.json()["code"]) == (409, "snapshot_clash")
        with hub.hub.core.store.read() as connection:
            told = [e for e in events.after(connection, 0, 100) if e.kind == "conflict"]
        assert [(event.system_id, event.body["seq"]) for event in told] == [("a", 1)]
        assert hub.system("a")["warning"] == told[0].body["reason"]


async def test_an_instance_replaces_its_own_push_and_nobody_elses(
    open_test_hub: Any, pusher: Any
) -> None:
    async with open_test_hub() as hub:
        old = pusher(hub, "a", 1, ROWS)
        await old.open()
        await old.stage(1)
        new = pusher(hub, "a", 1, ROWS, watermark="newer")
        assert (await new.open()).json() == {"state": "open", "have": []}
        assert (await old.stage(2)).json()["code"] == "push_not_open"
        assert (await old.commit()).json()["code"] == "push_not_open"
        other = pusher(hub, "a", 1, ROWS, instance_id="other")
        held = await other.open()
        assert (held.status_code, held.json()["code"]) == (409, "push_held")


async def test_a_damaged_batch_is_not_kept(open_test_hub: Any, pusher: Any) -> None:
    async with open_test_hub() as hub:
        push = pusher(hub, "a", 1, ROWS)
        await push.open()
        refused = await push.stage(1, x_content_sha256="0" * 64)
        assert (refused.status_code, refused.json()["code"]) == (422, "batch_corrupt")
        assert (await push.open()).json()["have"] == []
        assert list((hub.hub.core.settings.data_dir / "pushed" / ".parts").iterdir()) == []


def parquet(records: list[Record]) -> bytes:
    buffer = io.BytesIO()
    pq.write_table(pa.Table.from_batches([to_batch(records)]), buffer)
    return buffer.getvalue()


def garbage(push: Any) -> Any:
    return replace(push, batches=[(b"PAR1 no Parquet PAR1", 2), *push.batches[1:]])


def too_few(push: Any) -> Any:
    return replace(push, batches=push.batches[:-1])


def twice(push: Any) -> Any:
    return replace(push, batches=[*push.batches, push.batches[0]])


def miscounted(push: Any) -> Any:
    return replace(push, batches=[(push.batches[0][0], 1), *push.batches[1:]])


def foreign(push: Any) -> Any:
    """The last row is another system's memory."""
    batch = (parquet([Record("m4", text="x", target_system="b")]), 1)
    return replace(push, batches=[*push.batches[:-1], batch])


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (garbage, "damaged or truncated"),
        (too_few, "4 rows, 0 of them deletes, were pushed, the manifest says 5 and 0"),
        (twice, "7 rows"),
        (miscounted, "has 2 rows"),
        (foreign, "system 'b'"),
    ],
)
async def test_what_cannot_be_read_is_quarantined_until_it_comes_well(
    publisher: Any, open_test_hub: Any, pusher: Any, spoil: Any, reason: str
) -> None:
    async with open_test_hub() as hub:
        refused = await spoil(pusher(hub, "a", 1, ROWS)).all()
        assert (refused.status_code, refused.json()["code"]) == (422, "snapshot_quarantined")
        assert reason in refused.json()["detail"]
        [listed] = hub.hub.core.operations.quarantine_list()["quarantined"]
        assert (listed["seq"], listed["origin"]) == (1, "push")
        assert reason in listed["reason"]
        await hub.once()
        assert publisher.ack("a").quarantined[0].reason == listed["reason"]

        good = pusher(hub, "a", 1, ROWS)
        assert (await good.open()).json()["have"] == []
        assert (await good.all()).json()["changed"] == 5
        await hub.once()
        assert publisher.ack("a").quarantined == ()


async def test_what_was_dropped_by_hand_is_not_asked_for(open_test_hub: Any, pusher: Any) -> None:
    from recall_daemon.store.ledger import Place

    async with open_test_hub() as hub:
        await garbage(push := pusher(hub, "a", 1, ROWS)).all()
        hub.hub.core.operations.quarantine_drop(Place("a", 1))
        assert (await push.open()).json()["state"] == "dropped"
        assert (await push.commit()).json()["status"] == "dropped"
        assert hub.texts("a") == {}


@pytest.mark.parametrize(
    ("method", "path", "codes"),
    [
        ("PUT", "/v1/push/..%2F..%2Fetc/1", {"unsafe_key", "not_found"}),
        ("PUT", "/v1/push/.hidden/1", {"unsafe_key"}),
        ("PUT", "/v1/push/" + "a" * 101 + "/1", {"unsafe_key"}),
        ("PUT", "/v1/push/a%00b/1", {"unsafe_key"}),
        ("GET", "/v1/push/-a", {"unsafe_key"}),
        ("PUT", "/v1/push/a/0", {"request_invalid"}),
        ("PUT", "/v1/push/a/-1", {"request_invalid"}),
        ("PUT", "/v1/push/a/1e3", {"request_invalid"}),
        ("PUT", f"/v1/push/a/{10**12}", {"request_invalid"}),
        ("PUT", "/v1/push/a/" + "9" * 5000, {"request_invalid"}),
        ("PUT", "/v1/push/b/1", {"manifest_invalid"}),
        ("PUT", "/v1/push/a/2", {"manifest_invalid"}),
        ("POST", "/v1/push/a/1/commit", {"request_invalid"}),
    ],
)
async def test_hostile_paths_are_refused(
    open_test_hub: Any, pusher: Any, method: str, path: str, codes: set[str]
) -> None:
    async with open_test_hub() as hub:
        push = pusher(hub, "a", 1, ROWS)
        body = push.manifest.to_bytes() if method != "GET" else None
        headers = {"content-type": "application/json"}
        answer = await push.http.request(method, path, content=body, headers=headers)
        assert 400 <= answer.status_code < 500
        assert answer.json()["code"] in codes
        assert hub.hub.core.operations.systems()["systems"] == []


@pytest.mark.parametrize(
    ("number", "headers", "status"),
    [
        ("0", {}, 422),
        ("10001", {}, 422),
        ("-1", {}, 415),  # no batch's path: the body may not be Parquet there
        ("1", {"content-type": "application/json"}, 415),
        ("1", {"content-type": ""}, 415),
        ("1", {"content-length": str(BATCH_MAX_BYTES + 1)}, 413),
        ("1", {"x-rows": "0"}, 422),
        ("1", {"x-rows": "1001"}, 422),
        ("1", {"x-content-sha256": "../../../etc/passwd"}, 422),
        ("1", {"x-manifest-sha256": "A" * 64}, 422),
        ("1", {"x-manifest-sha256": "a" * 64}, 409),
    ],
)
async def test_a_batch_that_breaks_the_form_is_refused(
    open_test_hub: Any, pusher: Any, number: str, headers: dict[str, str], status: int
) -> None:
    async with open_test_hub() as hub:
        push = pusher(hub, "a", 1, ROWS)
        await push.open()
        data, rows = push.batches[0]
        sent = {
            "content-type": PARQUET,
            "x-content-sha256": sha256_hex(data),
            "x-manifest-sha256": push.sha256,
            "x-rows": str(rows),
            **headers,
        }
        path = f"{push.path}/batches/{number}"
        answer = await push.http.put(path, content=data, headers=sent)
        assert answer.status_code == status, answer.text
        assert (await push.open()).json()["have"] == []


async def test_no_other_route_takes_what_a_batch_may_be(open_test_hub: Any, pusher: Any) -> None:
    async with open_test_hub() as hub:
        push = pusher(hub, "a", 1, ROWS)
        parquet = {"content-type": PARQUET}
        assert (await push.http.put(push.path, content=b"x", headers=parquet)).status_code == 415
        large = {"content-type": "application/json", "content-length": str((1 << 20) + 1)}
        assert (await push.http.put(push.path, content=b"{}", headers=large)).status_code == 413


async def test_a_number_beyond_belief_is_refused(open_test_hub: Any, pusher: Any) -> None:
    async with open_test_hub() as hub:
        first = await pusher(hub, "a", 2 * 10**9, ROWS).open()
        assert (first.status_code, first.json()["code"]) == (422, "seq_refused")
        assert (await pusher(hub, "a", 20_000, ROWS).all()).status_code == 200
        jump = await pusher(hub, "a", 30_001, ROWS).open()
        assert jump.json()["code"] == "seq_refused"
        assert (await pusher(hub, "a", 30_000, ROWS).open()).status_code == 200
