"""Retention: tombstone, then purge; what is pinned or locked stays; why it went can be asked."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest

from recall_daemon.access.caller import LOCAL
from recall_daemon.agents.actor import Actor
from recall_daemon.store import deletions
from recall_wire.records import Record

DAY = timedelta(days=1)
AGENTS = [{"name": "guard", "retention_days": 30}, {"name": "keeper"}]


class Fleet:
    """A hub whose agent `guard` keeps its memories for 30 days, and those of others for ever."""

    def __init__(self, hub: Any) -> None:
        self.clock = hub.clock
        self.core = hub.hub.core
        self.shared = hub.hub.shared
        self.jobs = hub.hub.jobs
        self.posts = hub.hub.posts

    def add(self, name: str, agent: str = "guard", user: str | None = None, **more: Any) -> None:
        record = Record(name, text=f"text of {name}", agent_id=agent, user_id=user, **more)
        self.posts.store("agents", [record], actor="test")

    async def run(self, kind: str) -> int:
        ended = await self.jobs.run(kind)
        assert ended.state == "done", ended.detail
        return int(ended.done)

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        with self.core.store.read() as connection:
            found: list[tuple[Any, ...]] = connection.execute(sql).fetchall()
            return found

    def live(self) -> set[str]:
        return {row[0] for row in self.query("SELECT memory_id FROM memories WHERE state = 'live'")}


@pytest.fixture
async def fleet(open_test_hub: Any) -> AsyncIterator[Fleet]:
    async with open_test_hub(agents=AGENTS, deleted_keep_s=10 * 86400.0) as hub:
        yield Fleet(hub)


async def test_retention_leaves_a_tombstone_and_purge_takes_the_content_later(fleet: Fleet) -> None:
    fleet.add("old")
    fleet.clock[0] += 30 * DAY
    fleet.add("young")
    assert await fleet.run("retention") == 1
    assert fleet.live() == {"young"}
    assert fleet.query("SELECT text FROM memories WHERE memory_id = 'old'") == [(None,)]
    [(reason, detail, purged_at)] = fleet.query("SELECT reason, detail, purged_at FROM deletions")
    assert (reason, purged_at) == ("retention", None)
    assert detail == "the agent guard keeps its memories for 30 days"
    assert await fleet.run("purge-deleted") == 0
    assert "text of old" in str(fleet.query("SELECT record FROM memory_versions"))
    fleet.clock[0] += 10 * DAY
    assert await fleet.run("purge-deleted") == 1
    assert fleet.query("SELECT count(*) FROM memory_versions WHERE record IS NOT NULL") == [(0,)]
    assert fleet.query("SELECT purged_at IS NOT NULL FROM deletions") == [(True,)]
    assert fleet.query("SELECT state FROM memories WHERE memory_id = 'old'") == [("deleted",)]
    assert await fleet.run("purge-deleted") == 0


async def test_why_it_was_forgotten_can_be_asked(fleet: Fleet) -> None:
    fleet.add("old")
    fleet.clock[0] += 31 * DAY
    await fleet.run("retention")
    with fleet.core.store.read() as connection:
        [deletion] = deletions.of_memory(connection, "agents", "old")
    assert (deletion.reason, deletion.actor) == ("retention", "hub")
    assert deletion.detail is not None
    [(body,)] = fleet.query("SELECT body FROM audit_log WHERE action = 'memory.deleted'")
    assert json.loads(body) == {
        "deletion_id": deletion.deletion_id,
        "reason": "retention",
        "agent": "guard",
        "ids": ["old"],
    }


async def test_it_can_be_brought_back_until_it_is_purged(fleet: Fleet) -> None:
    fleet.add("old")
    fleet.clock[0] += 31 * DAY
    await fleet.run("retention")
    told = fleet.shared.deleting.undo(Actor(LOCAL), 1)
    assert told == {"restored_ids": ["old"]}
    assert fleet.query("SELECT text FROM memories") == [("text of old",)]


async def test_pinned_ones_are_exempt(fleet: Fleet) -> None:
    pins: dict[str, dict[str, Any]] = {
        "tag": {"tags": ("pinned",)},
        "metadata": {"metadata": '{"pinned": true}'},
        "life": {},
        "not": {"metadata": '{"pinned": false}'},
    }
    for name, more in pins.items():
        fleet.add(name, **more)
    fleet.shared.editing.update(Actor(LOCAL), "life", {"pinned": True})
    fleet.clock[0] += 31 * DAY
    assert await fleet.run("retention") == 1
    assert fleet.live() == {"tag", "metadata", "life"}


async def test_a_locked_one_waits_for_the_next_run(fleet: Fleet) -> None:
    fleet.add("a")
    fleet.add("b")
    fleet.clock[0] += 31 * DAY
    await fleet.shared.locks.acquire(Actor(LOCAL), "a", lease_s=300, wait_s=0)
    assert await fleet.run("retention") == 1
    assert fleet.live() == {"a"}
    fleet.clock[0] += timedelta(seconds=301)
    assert await fleet.run("retention") == 1


async def test_other_agents_and_agents_without_retention_keep_theirs(fleet: Fleet) -> None:
    fleet.add("a", "keeper")
    fleet.add("b", "unnamed")
    fleet.clock[0] += 999 * DAY
    assert await fleet.run("retention") == 0


async def test_an_old_event_that_came_lately_is_kept_as_long_as_any(fleet: Fleet) -> None:
    fleet.add("a", created_at=fleet.clock[0] - 99 * DAY)
    assert await fleet.run("retention") == 0


async def test_a_deletion_is_of_one_user_alone(fleet: Fleet) -> None:
    fleet.add("a", user="u")
    fleet.add("b", user="v")
    fleet.clock[0] += 31 * DAY
    assert await fleet.run("retention") == 2
    assert fleet.query("SELECT memory_id FROM deletions ORDER BY 1") == [("a",), ("b",)]


async def test_every_job_is_listed_with_its_record(fleet: Fleet) -> None:
    kinds = {
        *("promotion", "consolidation", "retention", "purge-deleted", "history"),
        *("reconciliation", "health"),
    }
    for kind in sorted(kinds):
        await fleet.run(kind)
    listed = {job["kind"]: job for job in fleet.jobs.listed()["jobs"]}
    assert kinds <= listed.keys()
    assert {listed[kind]["state"] for kind in kinds} == {"done"}
    assert listed["health"]["detail"] == "nothing is wrong"


async def test_status_says_what_the_last_reconciliation_found(fleet: Fleet) -> None:
    fleet.add("a")
    assert fleet.core.operations.status()["reconciliation"] == {"compared_upto": 0, "last": None}
    await fleet.run("reconciliation")
    last = fleet.core.operations.status()["reconciliation"]["last"]
    assert (last["rows"], last["repaired"]) == (1, {})
    assert last["ended_at"] == fleet.clock[0].isoformat()


async def test_health_says_which_job_failed(fleet: Fleet) -> None:
    fleet.core.store.write(
        lambda connection: connection.execute(
            "INSERT INTO jobs VALUES (99, 'backup', 'failed', now(), now(), 0, NULL, 'no room')"
        ).fetchall()
    )
    ended = await fleet.jobs.run("health")
    assert ended.detail == "backup failed: no room"
