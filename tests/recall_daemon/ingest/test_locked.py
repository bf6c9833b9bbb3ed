"""A snapshot that edits another system's memory waits for whoever has locked it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from recall_daemon.access.caller import LOCAL
from recall_daemon.agents.actor import Actor
from recall_wire.records import Record

WHO = Actor(LOCAL)


async def test_an_edit_of_another_systems_memory_waits_for_its_lock(
    open_test_hub: Any, publisher: Any
) -> None:
    async with open_test_hub(system_edits={"desk": ["laptop"]}) as hub:
        publisher.publish("laptop", 1, [Record("m", text="one")])
        await hub.once()
        await hub.hub.shared.locks.acquire(WHO, "laptop/m", lease_s=60)
        hub.clock[0] += timedelta(seconds=1)
        edit = Record("m", text="two", target_system="laptop", updated_at=hub.clock[0])
        publisher.publish("desk", 1, [edit])
        report = await hub.once()
        assert (report.pending, report.quarantined) == (1, 0)
        assert hub.texts("laptop") == {"m": "one"}
        publisher.publish("laptop", 2, [Record("n", text="its own")])
        await hub.once()
        assert hub.texts("laptop")["n"] == "its own"
        hub.clock[0] += timedelta(minutes=20)  # past the lease, and the wait of what failed
        report = await hub.once()
        assert report.merged == 1
        assert hub.texts("laptop")["m"] == "two"
