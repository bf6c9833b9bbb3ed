"""Delete: one transaction over the subtree, refused under a lock, undone until it is purged."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest

from recall_daemon.backup.replay import KINDS
from recall_daemon.store import audit, audit_log, journal
from recall_daemon.store.store import Store
from recall_wire.errors import TransientError
from recall_wire.records import Record

DAY = timedelta(days=1)


async def family(agent: Any) -> None:
    """root ← (a ← (a1, a2), b)"""
    for name, parent in (("root", None), ("a", "root"), ("b", "root"), ("a1", "a"), ("a2", "a")):
        more = {} if parent is None else {"parent_id": parent}
        await agent.add(f"the text of {name}", memory_id=name, tags=[name], **more)


async def content(fleet: Any) -> dict[str, Any]:
    """All that agents see of what there is."""
    agent = fleet()
    ids = [f"agents/{name}" for name in ("root", "a", "b", "a1", "a2", "x")]
    told = await agent.post("agent/memories/get", {"ids": ids})
    return {one["memory_id"]: one for one in told["memories"]}


def rows(fleet: Any, sql: str) -> list[Any]:
    with fleet.hub.hub.core.store.read() as connection:
        return connection.execute(sql).fetchall()


def is_sound(fleet: Any) -> None:
    with fleet.hub.hub.core.store.read() as connection:
        assert audit.problems(connection) == []
        assert audit_log.problems(connection) == []


async def test_delete_takes_the_subtree_and_answers_with_the_ids(fleet: Any) -> None:
    agent = fleet(agent="helper")
    await family(agent)
    told = await agent.delete("agent/memories/a")
    assert told["deleted_ids"][0] == "a"
    assert sorted(told["deleted_ids"]) == ["a", "a1", "a2"]
    assert set(await content(fleet)) == {"root", "b"}
    gone = await agent.refused("GET", "agent/memories/a1")
    assert gone == (404, "memory_not_found")
    assert (await agent.get("agent/children/root"))["count"] == 1
    await fleet.hub.hub.finish()
    assert "a1" not in fleet.hub.search("the text of a1")
    assert (
        rows(fleet, "SELECT text FROM memories WHERE state = 'deleted' AND text IS NOT NULL") == []
    )
    is_sound(fleet)


async def test_delete_ends_where_parents_go_in_circles_and_where_they_are_deep(fleet: Any) -> None:
    deep = 30
    chain = [Record(f"m{n}", text=f"t{n}", parent_id=f"m{n - 1}") for n in range(1, deep)]
    store = fleet.hub.hub.core.store
    posts = fleet.hub.hub.posts
    posts.store("agents", [Record("m0", text="t0", parent_id=f"m{deep - 1}"), *chain], actor="t")
    told = await fleet().delete("agent/memories/m7")
    assert sorted(told["deleted_ids"]) == sorted(f"m{n}" for n in range(deep))
    assert store is not None
    is_sound(fleet)


async def test_delete_of_too_many_is_refused_and_changes_nothing(
    fleet: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    agent = fleet(agent="helper")
    await family(agent)
    monkeypatch.setattr("recall_daemon.agents.deletion.SUBTREE_MAX", 4)
    assert await agent.refused("DELETE", "agent/memories/root") == (422, "agent_invalid")
    assert len(await content(fleet)) == 5
    monkeypatch.setattr("recall_daemon.agents.deletion.SUBTREE_MAX", 5)
    assert len((await agent.delete("agent/memories/root"))["deleted_ids"]) == 5


async def test_delete_takes_relations_and_places_in_groups_and_undo_brings_them_back(
    fleet: Any,
) -> None:
    agent = fleet(agent="helper")
    await family(agent)
    for source, target in (("a", "b"), ("b", "a1")):
        body = {"from_id": source, "to_id": target, "type": "x"}
        await agent.post("agent/relationships", body)
    group = {"name": "g", "memory_ids": ["b", "a", "a2"]}
    number = (await agent.post("agent/groups", group))["group_id"]

    async def beside() -> Any:
        related = await agent.get("agent/relationships/b")
        members = await agent.get(f"agent/groups/{number}/memories")
        ids = [one["memory_id"] for one in members["results"]]
        return [one["memory"]["memory_id"] for one in related["related_memories"]], ids

    before = await beside()
    done = (await agent.delete("agent/memories/a"))["deletion_id"]
    assert await beside() == ([], ["b"])
    assert rows(fleet, "SELECT count(*) FROM relationships") == [(0,)]
    assert rows(fleet, "SELECT count(*) FROM group_members") == [(1,)]
    await agent.post(f"agent/deletions/{done}/undo", {})
    assert await beside() == before == (["a", "a1"], ["b", "a", "a2"])


async def test_undo_brings_all_back_as_it_was_until_it_is_purged(fleet: Any) -> None:
    agent = fleet(agent="helper", user="ann")
    await family(agent)
    before, was = await content(fleet), fleet.hub.logical_hash()
    done = (await agent.delete("agent/memories/root"))["deletion_id"]
    assert await content(fleet) == {}
    fleet.hub.clock[0] += timedelta(hours=5)
    restored = await agent.post(f"agent/deletions/{done}/undo", {})
    assert sorted(restored["restored_ids"]) == ["a", "a1", "a2", "b", "root"]
    fleet.hub.clock[0] -= timedelta(hours=5)
    assert await content(fleet) == before
    assert fleet.hub.logical_hash() == was
    again = await agent.refused("POST", f"agent/deletions/{done}/undo")
    assert again == (422, "agent_invalid")
    await fleet.hub.hub.finish()
    assert fleet.hub.search("the text of a1")[0] == "a1"
    is_sound(fleet)

    done = (await agent.delete("agent/memories/root"))["deletion_id"]
    deleting = fleet.hub.hub.shared.deleting
    fleet.hub.clock[0] += 30 * DAY - timedelta(seconds=1)
    assert deleting.purge() == 0
    fleet.hub.clock[0] += timedelta(seconds=1)
    assert (deleting.purge(), deleting.purge()) == (1, 0)
    gone = await agent.refused("POST", f"agent/deletions/{done}/undo")
    assert gone == (410, "memory_gone")
    assert rows(fleet, "SELECT count(record) FROM memory_versions") == [(0,)]
    assert [
        json.loads(row[0])[0]["tags"] for row in rows(fleet, "SELECT members FROM deletions")
    ] == [
        [],
        [],
    ]
    is_sound(fleet)


async def test_without_cascade_the_children_are_lifted_and_undo_puts_them_back(fleet: Any) -> None:
    agent = fleet(agent="helper")
    await family(agent)
    told = await agent.delete("agent/memories/a", cascade="false")
    assert told["deleted_ids"] == ["a"]
    now = await content(fleet)
    assert {name: one["parent_id"] for name, one in now.items()} == {
        **{"root": None, "b": "root", "a1": "root", "a2": "root"}
    }
    await agent.post(f"agent/deletions/{told['deletion_id']}/undo", {})
    after = await content(fleet)
    assert {name: one["parent_id"] for name, one in after.items()} == {
        **{"root": None, "a": "root", "b": "root", "a1": "a", "a2": "a"}
    }
    assert after["a1"]["content"] == "the text of a1"
    is_sound(fleet)


@pytest.mark.parametrize("cascade", ["true", "false"])
async def test_delete_is_refused_where_another_holds_a_lock_on_any_of_it(
    fleet: Any, cascade: str
) -> None:
    agent, other = fleet(agent="helper", session="1"), fleet(agent="helper", session="2")
    await family(agent)
    await other.post("locks", {"memory_id": "a1" if cascade == "true" else "b"})
    answer = agent.ask("DELETE", "agent/memories/root", params={"cascade": cascade})
    assert ((await answer).status_code, len(await content(fleet))) == (423, 5)
    # What the lock does not concern may go.
    assert (await agent.delete("agent/memories/a2"))["deleted_ids"] == ["a2"]


async def test_delete_of_what_oneself_has_locked_takes_the_fence(fleet: Any) -> None:
    agent = fleet(agent="helper")
    await family(agent)
    fence = (await agent.post("locks", {"memory_id": "root"}))["lock"]["fence"]
    assert (await agent.refused("DELETE", "agent/memories/root"))[0] == 422
    assert len((await agent.delete("agent/memories/root", fence=fence))["deleted_ids"]) == 5


@pytest.mark.parametrize("cascade", [True, False])
async def test_what_others_hung_below_it_stays_and_keeps_nobody_from_deleting(
    fleet: Any, cascade: bool
) -> None:
    agent, other = fleet(agent="helper"), fleet(agent="guard")
    await agent.add("shown to all", memory_id="root", category="user_preferences")
    await other.add("below", memory_id="x", parent_id="root", category="user_preferences")
    await agent.add("below that", memory_id="a", parent_id="x")
    assert await other.refused("DELETE", "agent/memories/root") == (403, "forbidden")
    told = await agent.delete("agent/memories/root", cascade=cascade)
    assert told["deleted_ids"] == ["root"]
    assert set(await content(fleet)) == {"x", "a"}
    memory = (await other.get("agent/memories/x"))["memory"]
    assert memory["parent_id"] == "root"


async def test_undoing_what_is_not_all_ones_own_is_refused(fleet: Any) -> None:
    agent, other = fleet(agent="helper"), fleet(agent="guard")
    await agent.add("shown to all", memory_id="root", category="user_preferences")
    await other.add("below", memory_id="x", parent_id="root")
    done = (await fleet().delete("agent/memories/root"))["deletion_id"]
    assert await other.refused("POST", f"agent/deletions/{done}/undo") == (403, "forbidden")
    stranger = fleet(agent="stranger")
    unknown = await stranger.refused("POST", "agent/deletions/999/undo")
    assert await stranger.refused("POST", f"agent/deletions/{done}/undo") == unknown
    assert unknown == (404, "memory_not_found")


async def test_a_retry_deletes_once(fleet: Any) -> None:
    agent = fleet(agent="helper")
    await family(agent)
    key = {"idempotency-key": "k"}
    first = await agent.ask("DELETE", "agent/memories/a", headers=key)
    again = await agent.ask("DELETE", "agent/memories/a", headers=key)
    assert (first.status_code, again.json()) == (200, first.json())
    assert (await agent.refused("DELETE", "agent/memories/a"))[0] == 404


async def test_a_deleted_memory_stays_deleted_whatever_its_system_says(
    fleet: Any, publisher: Any
) -> None:
    """Tombstones win, from snapshots and posts alike; undoing it serves what came meanwhile."""
    publisher.publish("laptop", 1, [Record("m", text="one"), Record("n", text="kept")])
    await fleet.hub.once()
    agent = fleet()
    done = (await agent.delete("agent/memories/laptop%2Fm"))["deletion_id"]
    publisher.publish("laptop", 2, [Record("m", text="two")])
    await fleet.hub.once()
    fleet.hub.hub.posts.store("laptop", [Record("m", text="three")], actor="t")
    assert fleet.hub.texts("laptop") == {"n": "kept"}
    body = {"content": "again", "memory_id": "m"}
    own = await agent.post("agent/memories", body)  # of another system
    assert own["system_id"] == "agents"
    is_sound(fleet)
    await agent.post(f"agent/deletions/{done}/undo", {})
    assert fleet.hub.texts("laptop") == {"n": "kept", "m": "three"}
    is_sound(fleet)


async def test_why_a_memory_was_forgotten_can_be_answered(fleet: Any) -> None:
    agent = fleet(agent="helper")
    await family(agent)
    assert (await agent.get("agent/fate/a"))["state"] == "live"
    done = (await agent.delete("agent/memories/a"))["deletion_id"]
    told = await agent.get("agent/fate/a1")
    assert (told["state"], told["deletion_id"]) == ("deleted", done)
    assert told["why"] == "loopback/helper deleted it"
    assert told["until"] == "2026-02-01T00:00:00+00:00"
    assert told["events"] == [
        {
            **{"what": "deleted", "at": "2026-01-02T00:00:00+00:00", "deletion_id": done},
            **{"by": "loopback/helper", "reason": "asked"},
        }
    ]
    for stranger in (fleet(agent="other"), agent):
        name = "a1" if stranger is not agent else "nobody"
        assert await stranger.refused("GET", f"agent/fate/{name}") == (404, "memory_not_found")
    await agent.post(f"agent/deletions/{done}/undo", {})
    told = await agent.get("agent/fate/a1")
    assert (told["state"], [one["what"] for one in told["events"]]) == (
        "live",
        ["restored", "deleted"],
    )
    done = (await agent.delete("agent/memories/a"))["deletion_id"]
    fleet.hub.clock[0] += 30 * DAY
    fleet.hub.hub.shared.deleting.purge()
    assert (await agent.get("agent/fate/a1"))["state"] == "purged"
    forgotten = await fleet.http.request("DELETE", "/v1/memories/agents/b")
    assert forgotten.status_code == 200, forgotten.text
    assert (await fleet().get("agent/fate/b"))["state"] == "forgotten"


async def test_each_deletion_and_undoing_is_in_the_audit_log(fleet: Any) -> None:
    agent = fleet(agent="helper")
    await family(agent)
    done = (await agent.delete("agent/memories/b"))["deletion_id"]
    await agent.post(f"agent/deletions/{done}/undo", {})
    acts = rows(fleet, "SELECT actor, action FROM audit_log ORDER BY entry_no DESC LIMIT 2")
    assert acts == [
        ("loopback/helper", "memory.restored"),
        ("loopback/helper", "memory.deleted"),
    ]


async def aged(fleet: Any) -> None:
    fleet.hub.clock[0] += 100 * DAY
    await fleet.hub.hub.finish()
    await fleet.hub.hub.jobs.run("age")
    assert rows(fleet, "SELECT count(*) FROM memories WHERE tier = 'cold'") == [(5,)]


@pytest.mark.parametrize("cascade", ["true", "false"])
async def test_what_is_cold_is_fetched_before_it_is_deleted(fleet: Any, cascade: str) -> None:
    agent = fleet(agent="helper")
    await family(agent)
    await aged(fleet)
    done = (await agent.delete("agent/memories/a", cascade=cascade))["deletion_id"]
    is_sound(fleet)
    await agent.post(f"agent/deletions/{done}/undo", {})
    told = await content(fleet)
    assert {one["content"] for one in told.values()} == {f"the text of {name}" for name in told}
    assert told["a1"]["parent_id"] == "a"
    is_sound(fleet)


async def test_a_bucket_that_is_away_lets_nothing_be_deleted(
    fleet: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    agent = fleet(agent="helper")
    await family(agent)
    await aged(fleet)
    texts, was = fleet.hub.hub.core.tiers.texts, fleet.hub.logical_hash()
    with monkeypatch.context() as patch:
        away = TransientError("the bucket does not answer")
        patch.setattr(texts, "contents", lambda places: {one.row_id: away for one in places})
        for cascade in ("true", "false"):
            path = f"agent/memories/a?cascade={cascade}"
            assert await agent.refused("DELETE", path) == (503, "transient_error")
    assert fleet.hub.logical_hash() == was
    assert rows(fleet, "SELECT count(*) FROM deletions") == [(0,)]
    assert len((await agent.delete("agent/memories/a"))["deleted_ids"]) == 3


async def test_the_journal_does_it_again_in_another_store(fleet: Any, tmp_path: Any) -> None:
    """A restored hub has the same memories, deletions and relationships."""
    agent = fleet(agent="helper")
    await family(agent)
    await agent.post("agent/relationships", {"from_id": "a", "to_id": "b", "type": "x"})
    await agent.post("agent/groups", {"name": "g", "memory_ids": ["a", "b"]})
    done = (await agent.delete("agent/memories/a"))["deletion_id"]
    await agent.post(f"agent/deletions/{done}/undo", {})
    await agent.delete("agent/memories/b")
    await agent.delete("agent/memories/a", cascade="false")
    with fleet.hub.hub.core.store.read() as connection:
        entries = journal.unshipped(connection, 1_000, 1 << 30)
    again = Store(tmp_path / "again")
    try:
        for _ in "12":  # doing it twice changes nothing
            for entry in entries:
                again.write(lambda c, entry=entry: KINDS[entry.kind](c, entry))
        with again.read() as connection:
            assert audit.logical_hash(connection) == fleet.hub.logical_hash()
            assert audit.problems(connection) == []
            for table in ("lives", "deletions", "relationships", "group_members"):
                sql = f"SELECT * FROM {table} ORDER BY ALL"
                assert connection.execute(sql).fetchall() == rows(fleet, sql)
    finally:
        again.close()
