"""Of what agents made of a memory no byte is left, in the data folder or in the bucket."""

from __future__ import annotations

import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # traces

from traces import data_dir, holding, kept, keys, restored, secret

from recall_daemon.access.caller import LOCAL
from recall_daemon.agents.actor import Actor
from recall_daemon.agents.decisions import Decision
from recall_daemon.agents.editing import Terms
from recall_daemon.memory.criteria import Criteria
from recall_wire.records import Record


def shared_with(hub: Any, name: str, other: str) -> None:
    """What agents may have beside a memory: versions, conflicts, a share, a relation, a group."""
    shared, ask = hub.hub.shared, Actor(LOCAL)

    def update(terms: Terms, number: int) -> Any:
        hub.clock[0] += timedelta(minutes=1)
        return shared.editing.update(ask, name, {"content": secret(number)}, terms)

    base = shared.review.versions(ask, name)["head"]
    update(Terms(), 400)
    met = update(Terms(base, strategy="manual_review"), 401)["conflict_id"]
    shared.review.resolve(ask, met, Decision(text=secret(402)))
    shared.review.undo(ask, met)
    update(Terms(base), 403)
    shared.sharing.share_with_agents(ask, name, ["helper"])
    shared.relations.add(ask, {"from_id": name, "to_id": other, "type": "near"})
    group = shared.groups.create(ask, {"name": "some", "memory_ids": [name]})
    shared.deleting.undo(ask, shared.deleting.delete(ask, name)["deletion_id"])
    shared.groups.add(ask, group["group_id"], [other])


@pytest.mark.parametrize("is_posted", [False, True])
async def test_nothing_is_left_of_what_agents_made_of_a_memory(
    open_test_hub: Any, publisher: Any, is_posted: bool
) -> None:
    publisher.publish("a", 1, [Record("m0", text=kept(0)), Record("m1", text=secret(1))])
    async with open_test_hub(system_edits={"b": ["a"]}) as hub:
        await hub.once()
        name, other = ("agents/m1", "agents/m0") if is_posted else ("a/m1", "a/m0")
        if is_posted:
            ask, texts = Actor(LOCAL), {"m0": kept(0), "m1": secret(1)}
            new = [{"content": text, "memory_id": one} for one, text in texts.items()]
            hub.hub.shared.memories.add_batch(ask, {"memories": new})
            hub.hub.forgetting.forget(Criteria(ids=("a/m1",)), rewrite=True)
        else:
            base = hub.hub.shared.review.versions(Actor(LOCAL), name)["head"]
            edit = Record("m1", text=secret(2), target_system="a", base_version=base)
            publisher.publish("b", 1, [edit, Record("b0", text=kept(5))])
            assert not (await hub.once()).quarantined
        await hub.hub.jobs.run("backup")
        shared_with(hub, name, other)
        await hub.hub.jobs.run("log")
        assert len(holding(publisher.root)) > 1
        assert holding(data_dir(hub)) != []

        named = hub.hub.forgetting.forget(Criteria(ids=(name,)))
        left = [key for key in holding(publisher.root) if "/backups/" not in key]
        assert sorted(keys(named)) == left
        assert any("/log/" in key for key in left)

        receipt = hub.hub.forgetting.forget(Criteria(ids=(name,)), rewrite=True)

        assert (holding(data_dir(hub)), holding(publisher.root)) == ([], [])
        assert (keys(receipt), receipt["older_backups"], receipt["notes"]) == ([], [], [])
        assert hub.hub.core.operations.verify(sample=20)["problems"] == []
        before = hub.verify()
    restored(publisher, data_dir(hub).with_name("restored"))
    async with open_test_hub("restored", system_edits={"b": ["a"]}) as hub:
        await hub.once()
        assert hub.verify() == before
        assert holding(data_dir(hub)) == []
