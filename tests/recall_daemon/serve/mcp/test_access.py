"""Every tool and every role: what is seen, and what is refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from recall_daemon.access.caller import Caller
from recall_daemon.search.reach import Reach
from recall_wire.records import Record

INSTANCE = Caller("instance", "instance", "laptop", Reach(frozenset({"laptop"})))
OTHER = Caller("other", "instance", "desktop", Reach(frozenset({"desktop"})))
READER = Caller("reader", "reader", None, Reach(frozenset({"laptop"})))
NARROW = Caller("narrow", "reader", None, Reach(frozenset({"laptop"}), frozenset({"kafka"})))
ADMIN = Caller("admin", "admin")
CALLERS = (INSTANCE, OTHER, READER, NARROW, ADMIN)

LAPTOP = [
    Record("lag", text="Kafka lag climbed", project="kafka", session_id="s"),
    Record("pool", text="Kafka pool ran dry", project="db", session_id="s"),
]
DESKTOP = [Record("broker", text="Kafka broker restarted", project="kafka", session_id="s")]
SEEN = {
    "instance": {"lag", "pool"},
    "other": {"broker"},
    "reader": {"lag", "pool"},
    "narrow": {"lag"},
    "admin": {"lag", "pool", "broker"},
}
SYSTEM_OF = {"lag": "laptop", "pool": "laptop", "broker": "desktop"}


@pytest.fixture
async def served(open_test_hub, publisher, serve):
    publisher.publish("laptop", 1, LAPTOP)
    publisher.publish("desktop", 1, DESKTOP)
    async with open_test_hub() as hub:
        await hub.once()
        async with serve(hub) as served:
            yield served


def _ids(memories: list[dict[str, Any]], name: str = "memory_id") -> set[str]:
    return {memory[name] for memory in memories}


async def test_what_is_read(served) -> None:
    for caller in CALLERS:
        seen = SEEN[caller.name]
        systems = {SYSTEM_OF[memory_id] for memory_id in seen}

        def ask(name: str, caller: Caller = caller, **arguments: Any) -> Any:
            return served.tool(name, caller=caller, **arguments)

        assert _ids((await ask("search_memories", query="kafka"))["hits"]) == seen
        everywhere = await ask("search_all_systems", query="kafka")
        assert _ids(everywhere["results"], "conversation_id") == seen
        assert everywhere["total_results"] == len(seen)
        assert _ids((await ask("recent_memories"))["memories"]) == seen
        listed = (await ask("list_systems"))["systems"]
        assert _ids(listed, "system_id") == systems
        assert sum(system["rows"] for system in listed) == len(seen)
        stats = await ask("memory_stats")
        assert (stats["rows"], stats["systems"]) == (len(seen), len(systems))


async def test_what_is_not_ones_own_is_as_what_is_not_there(served) -> None:
    for caller in CALLERS:
        nothing = await _get(served, caller, "laptop", "none")
        for memory_id, system_id in SYSTEM_OF.items():
            for name in ("get_memory", "related_memories"):
                answer = await _get(served, caller, system_id, memory_id, name)
                if memory_id in SEEN[caller.name]:
                    assert answer[0] == 200
                else:
                    assert answer == nothing
        related = await served.tool(
            "related_memories",
            caller=caller,
            system_id=SYSTEM_OF[min(SEEN[caller.name])],
            memory_id=min(SEEN[caller.name]),
        )
        near = [*related["before"], *related["after"], *related["nearest"]]
        assert _ids(near) <= SEEN[caller.name]


async def _get(
    served, caller: Caller, system_id: str, memory_id: str, name: str = "get_memory"
) -> tuple[int, str]:
    arguments = {"system_id": system_id, "memory_id": memory_id}
    call = {"method": "tools/call", "params": {"name": name, "arguments": arguments}}
    answer = await served.post("/mcp", call, caller=caller)
    return answer.status_code, answer.json().get("detail", "")


STORED: dict[str, int] = {"instance": 200, "other": 200, "reader": 403, "narrow": 403, "admin": 200}


async def test_who_stores_and_where(served) -> None:
    sources = {"instance": "laptop", "other": "desktop", "admin": "http-push"}
    for caller in CALLERS:
        body = {"memory_id": f"by-{caller.name}", "text": "x"}
        one = await served.post("/store_memory", body, caller=caller)
        assert one.status_code == STORED[caller.name]
        assert one.json()["status"] == ("stored" if one.status_code == 200 else "failed")
        batch = await served.post("/batch_store_memories", {"memories": [body]}, caller=caller)
        assert batch.status_code == STORED[caller.name]
        assert batch.json()["status"] == ("completed" if batch.status_code == 200 else "failed")
        if caller.name in sources:
            assert f"by-{caller.name}" in served.hub.texts(sources[caller.name])
    texts = [served.hub.texts(system) for system in ("laptop", "desktop", "http-push")]
    assert sum(len(held) for held in texts) == len(SYSTEM_OF) + len(sources)


FORGET: dict[str, Callable[[str], bool]] = {
    "instance": lambda system: system == "laptop",
    "other": lambda system: system == "desktop",
    "reader": lambda _: False,
    "narrow": lambda _: False,
    "admin": lambda _: True,
}


async def test_who_forgets_and_who_pulls(served) -> None:
    for caller in (READER, NARROW, OTHER, INSTANCE, ADMIN):
        for system_id in ("laptop", "desktop", "nowhere"):
            for memory_id in ("none", *SEEN["admin"]):
                if SYSTEM_OF.get(memory_id) == system_id and FORGET[caller.name](system_id):
                    continue
                arguments = {"system_id": system_id, "memory_id": memory_id}
                status, _ = await _call(served, caller, "forget_memory", arguments)
                assert status == (404 if FORGET[caller.name](system_id) else 403)
        status, _ = await _call(served, caller, "sync_instances", {})
        assert status == (200 if caller is ADMIN else 403)
    assert len(served.pulled) == 1
    for caller, memory_id in ((INSTANCE, "lag"), (OTHER, "broker"), (ADMIN, "pool")):
        arguments = {"system_id": SYSTEM_OF[memory_id], "memory_id": memory_id}
        status, receipt = await _call(served, caller, "forget_memory", arguments)
        assert status == 200
        assert receipt["forgotten"] == 1


async def _call(served, caller: Caller, name: str, arguments: Any) -> tuple[int, Any]:
    call = {"method": "tools/call", "params": {"name": name, "arguments": arguments}}
    answer = await served.post("/mcp", call, caller=caller)
    return answer.status_code, answer.json()


async def test_true_mcp_refuses_as_the_plain_posts_do(served) -> None:
    for caller in (READER, OTHER):
        hits = await served.call("search_memories", caller=caller, query="kafka")
        assert _ids(hits.structured_content["hits"]) == SEEN[caller.name]
        gone = await served.call(
            "forget_memory", caller=caller, system_id="laptop", memory_id="lag"
        )
        assert gone.is_error
        assert "may not write" in gone.content[0].text
        assert (await served.call("sync_instances", caller=caller)).is_error
    stored = await served.call("store_memory", caller=READER, memory_id="m", text="x")
    assert stored.is_error
    assert stored.structured_content["status"] == "failed"
