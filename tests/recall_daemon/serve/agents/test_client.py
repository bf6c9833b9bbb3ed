"""`AsyncMemoryClient` before the real routes: every method, and what its answer says.

Both clients share all but how they send; `tests/e2e/test_client.py` has the other one.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx
import pytest

from recall_client import AsyncMemoryClient, LockRefused
from recall_daemon.serve.agents.mount import ALLOWANCES
from recall_daemon.serve.guard import Guard

URL = "http://127.0.0.1:8682"
NEVER = "mem_" + "0" * 32

Open = Callable[..., AsyncMemoryClient]


@pytest.fixture
def open_client(fleet: Any) -> Open:
    transport = httpx.ASGITransport(
        Guard(fleet.hub.app(), port=8682, allowances=ALLOWANCES), raise_app_exceptions=False
    )

    def opened(agent_id: str | None = "helper", user_id: str | None = "ann", **options: Any) -> Any:
        return AsyncMemoryClient(
            URL, agent_id=agent_id, user_id=user_id, transport=transport, **options
        )

    return opened


@pytest.fixture
def client(open_client: Open) -> AsyncMemoryClient:
    return open_client()


def done(answer: dict[str, Any]) -> dict[str, Any]:
    assert answer["status"] == "success", answer
    return answer


def refused(answer: dict[str, Any]) -> str:
    assert set(answer) == {"status", "message", "code", "request_id"}, answer
    assert answer["status"] == "error"
    return str(answer["code"])


async def test_what_is_added_in_a_session_is_got_one_by_one_and_together(
    client: AsyncMemoryClient,
) -> None:
    session = done(await client.create_session(metadata={"task": "t"}))["session_id"]
    first = done(
        await client.add_memory("one", "fact", "long", 0.8, {"k": [1]}, ["x"], category="c")
    )["memory_id"]
    memory = done(await client.get_memory(first))["memory"]
    said = ("content", "memory_type", "memory_tier", "importance", "metadata", "tags", "categories")
    assert [memory[name] for name in said] == ["one", "fact", "long", 0.8, {"k": [1]}, ["x"], ["c"]]
    assert (memory["session_id"], memory["agent_id"], memory["user_id"]) == (
        session,
        "helper",
        "ann",
    )

    more = done(await client.batch_add_memories([{"content": "two"}, {"content": "three"}]))
    names = [first, *more["memory_ids"], NEVER]
    told = done(await client.batch_get_memories(names))
    assert [one["content"] for one in told["memories"]] == ["one", "two", "three"]
    assert (told["count"], told["missing"]) == (3, [NEVER])
    assert refused(await client.get_memory(NEVER)) == "memory_not_found"


async def test_ids_and_names_may_hold_anything(open_client: Open) -> None:
    client = open_client("Prüfer", "安")
    for name in ("a/b ?#%2F/ü/🚀\n.\n", "..", "."):
        done(await client.add_memory("odd", memory_id=name))
        memory = done(await client.get_memory(name))["memory"]
        assert memory["memory_id"] == name
        assert (memory["agent_id"], memory["user_id"]) == ("Prüfer", "安")
        assert done(await client.get_memory(f"agents/{name}"))["memory"] == memory


async def test_a_key_that_is_sent_again_does_it_once_and_for_another_request_is_refused(
    client: AsyncMemoryClient,
) -> None:
    first = await client.add_memory("once", idempotency_key="k")
    assert await client.add_memory("once", idempotency_key="k") == done(first)
    assert refused(await client.add_memory("other", idempotency_key="k")) == "key_reused"


async def test_children_in_both_orders_of_each_field(fleet: Any, client: AsyncMemoryClient) -> None:
    parent = done(await client.add_memory("parent"))["memory_id"]
    for number in range(3):
        fleet.hub.clock[0] = fleet.hub.clock[0].replace(minute=number)
        done(await client.add_memory(str(number), importance=number / 4, parent_id=parent))
    for field in ("created_at", "importance"):
        for order, expected in (("desc", ["2", "1"]), ("asc", ["0", "1"])):
            told = done(await client.get_children(parent, 2, field, order))
            assert [one["content"] for one in told["results"]] == expected
            assert told["count"] == 2
    assert done(await client.get_children(parent))["count"] == 3
    assert refused(await client.get_children(parent, sort_field="size")) == "request_invalid"


async def test_a_relation_is_seen_from_both_ends(client: AsyncMemoryClient) -> None:
    added = done(await client.batch_add_memories([{"content": "a"}, {"content": "b"}]))
    a, b = added["memory_ids"]
    number = done(await client.add_relationship(a, b, "follows", 0.4))["relationship_id"]
    for name, other, direction in ((a, "b", "outgoing"), (b, "a", "incoming")):
        (related,) = done(await client.get_related_memories(name))["related_memories"]
        relationship = related["relationship"]
        assert related["memory"]["content"] == other
        assert (relationship["type"], relationship["strength"]) == ("follows", 0.4)
        assert (relationship["direction"], bool(relationship["created_at"])) == (direction, True)
        for asked in ("outgoing", "incoming"):
            told = done(await client.get_related_memories(name, "follows", asked))
            assert told["count"] == (1 if asked == direction else 0)
    assert done(await client.get_related_memories(a, "blocks"))["count"] == 0
    done(await client.remove_relationship(number))
    assert done(await client.get_related_memories(a))["count"] == 0


async def test_a_group_has_a_number_and_its_members(client: AsyncMemoryClient) -> None:
    added = done(await client.batch_add_memories([{"content": str(n)} for n in range(3)]))
    names = added["memory_ids"]
    group = done(await client.create_context_group("g", "about", names[:1]))["group_id"]
    assert isinstance(group, int)
    assert done(await client.add_to_group(group, names[:2]))["added"] == 1
    assert done(await client.add_to_group(group, names[2]))["added"] == 1
    told = done(await client.get_memories_by_group(group))
    assert (told["count"], len(told["results"])) == (3, 3)
    assert done(await client.get_memories_by_group(group, limit=2))["count"] == 2


async def test_a_block_holds_the_lock_and_its_changes_carry_the_fence(
    open_client: Open, client: AsyncMemoryClient
) -> None:
    name = done(await client.add_memory("mine"))["memory_id"]
    other = open_client(session_id="another")
    async with client.lock(name) as held:
        (listed,) = done(await client.list_locks())["locks"]
        assert listed["fence"] == held.fence
        assert refused(await other.acquire_lock(name, wait_s=0)) == "memory_locked"
        with pytest.raises(LockRefused):
            async with other.lock(name, wait_s=0):
                pytest.fail("the block ran")
        assert refused(await other.update_memory(name, content="theirs")) == "memory_locked"
        assert done(await client.update_memory(name, content="ours"))["outcome"] == "advanced"
        done(await client.renew_lock(name, held.fence, 60))
    again = done(await other.acquire_lock(name))["lock"]
    assert again["fence"] > held.fence
    late = await client.update_memory(name, content="late", fence=held.fence)
    assert refused(late) in {"stale_fence", "memory_locked"}
    done(await other.release_lock(name, again["fence"]))
    late = await client.update_memory(name, content="late", fence=held.fence)
    assert refused(late) == "stale_fence"


async def test_a_share_is_seen_until_it_is_revoked(
    open_client: Open, client: AsyncMemoryClient
) -> None:
    name = done(await client.add_memory("told"))["memory_id"]
    guard = open_client("guard")
    assert refused(await guard.get_memory(name)) == "memory_not_found"
    (share,) = done(await client.share_with_agents(name, "guard"))["share_ids"]
    assert done(await guard.get_memory(name))["memory"]["content"] == "told"
    assert refused(await guard.update_memory(name, content="x")) == "forbidden"
    assert len(done(await client.list_shares(name))["shares"]) == 1
    done(await client.revoke_share(share))
    assert refused(await guard.get_memory(name)) == "memory_not_found"


async def test_edits_advance_merge_or_conflict_and_a_conflict_is_resolved_and_undone(
    client: AsyncMemoryClient,
) -> None:
    added = done(await client.add_memory("the door is open. it rains."))
    name, base = added["memory_id"], added["version"]
    edits = ("the door is shut. it rains.", "the door is ajar. it rains.")
    first = done(await client.update_memory(name, content=edits[0], base_version=base))
    assert first["outcome"] == "advanced"
    same = done(await client.update_memory(name, content=edits[0], base_version=first["version"]))
    assert same["outcome"] == "unchanged"
    merged = done(await client.update_memory(name, importance=0.9, base_version=base))
    assert merged["outcome"] == "merged"
    clash = done(
        await client.update_memory(
            name, content=edits[1], base_version=base, strategy="manual_review"
        )
    )
    assert clash["outcome"] == "conflict"
    (waiting,) = done(await client.list_conflicts())["conflicts"]
    assert waiting["conflict_id"] == clash["conflict_id"]
    done(await client.get_conflict(clash["conflict_id"]))
    done(await client.resolve_conflict(clash["conflict_id"], content="the door is new."))
    assert done(await client.get_memory(name))["memory"]["content"] == "the door is new."
    done(await client.undo_resolution(clash["conflict_id"]))
    assert done(await client.get_memory(name))["memory"]["content"] == edits[0]
    assert done(await client.list_conflicts())["conflicts"]
    assert len(done(await client.get_versions(name))["versions"]) >= 4


async def test_reinforcing_is_bounded(client: AsyncMemoryClient) -> None:
    name = done(await client.add_memory("worth more", importance=0.5))["memory_id"]
    assert done(await client.reinforce_memory(name))["new_importance"] == pytest.approx(0.6)
    assert done(await client.reinforce_memory(name, 9.0))["new_importance"] == 1.0


async def test_a_deletion_takes_what_is_below_or_lifts_it_and_is_undone(
    client: AsyncMemoryClient,
) -> None:
    top = done(await client.add_memory("top"))["memory_id"]
    middle = done(await client.add_memory("middle", parent_id=top))["memory_id"]
    leaf = done(await client.add_memory("leaf", parent_id=middle))["memory_id"]

    told = done(await client.delete_memory(middle, cascade=False))
    assert told["deleted_ids"] == [middle]
    assert [one["memory_id"] for one in done(await client.get_children(top))["results"]] == [leaf]
    assert done(await client.why_forgotten(middle))["why"]
    assert done(await client.undo_delete(told["deletion_id"]))["restored_ids"] == [middle]

    told = done(await client.delete_memory(top))
    assert top in told["deleted_ids"]
    assert done(await client.batch_get_memories(told["deleted_ids"]))["memories"] == []


async def test_searches_find_by_words_and_meaning_within_their_bounds(
    fleet: Any, open_client: Open, client: AsyncMemoryClient
) -> None:
    parent = done(await client.add_memory("the harbour", "place"))["memory_id"]
    texts = [f"the lake {n} is calm" for n in range(4)]
    done(
        await client.batch_add_memories(
            [{"content": t, "memory_type": "fact", "parent_id": parent} for t in texts]
        )
    )
    tagged = done(await client.add_memory("the lake is deep", tags=["deep"]))["memory_id"]
    theirs = open_client("guard")
    shared = done(await theirs.add_memory("the lake is theirs"))["memory_id"]
    done(await theirs.share_with_agents(shared, ["helper"]))
    await fleet.hub.hub.finish()

    def found(answer: dict[str, Any]) -> set[str]:
        assert done(answer)["count"] == len(answer["results"])
        return {one["memory"]["content"] for one in answer["results"]}

    assert found(await client.search_memory("lake", "fact")) == set(texts)
    assert found(await client.search_memory("lake", parent_id=parent)) == set(texts)
    assert len(found(await client.search_memory("lake", limit=2))) == 2
    assert len(found(await client.semantic_search("calm lake", k=3))) == 3
    assert found(await client.semantic_search("lake", filters={"tags": ["deep"]})) == {
        "the lake is deep"
    }
    both = done(await client.search_agent_memories("lake", limit=50))["results"]
    by_name = {one["memory"]["memory_id"]: one for one in both}
    assert (by_name[shared]["is_shared"], by_name[shared]["source_agent"]) == (True, "guard")
    assert by_name[shared]["seen_by"]
    assert by_name[tagged]["is_shared"] is False
    own = done(await client.search_agent_memories("lake", include_shared_memories=False, limit=50))[
        "results"
    ]
    assert {one["memory"]["memory_id"] for one in own} == set(by_name) - {shared}


async def test_a_slice_is_what_the_agent_sees_with_its_locks(client: AsyncMemoryClient) -> None:
    added = done(await client.batch_add_memories([{"content": str(n)} for n in range(3)]))
    locked = added["memory_ids"][0]
    async with client.lock(locked):
        pages, cursor = [], None
        while True:
            page = done(await client.get_agent_memory_slice(limit=2, cursor=cursor))
            pages += page["memory_slice"]
            cursor = page["next_cursor"]
            if cursor is None:
                break
    by_name = {one["memory"]["memory_id"]: one["sync_metadata"] for one in pages}
    assert set(by_name) == set(added["memory_ids"])
    assert [name for name, one in by_name.items() if one["is_locked"]] == [locked]
    assert set(by_name[locked]) >= {"lock_holder", "has_conflicts", "last_sync_check"}
    for ask in (
        client.list_agents,
        client.get_memory_allocation,
        client.get_sync_statistics,
        client.get_coordinator_status,
    ):
        done(await ask())
