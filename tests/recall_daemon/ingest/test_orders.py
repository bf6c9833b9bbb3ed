"""Snapshots in any order, twice, with gaps, by bucket and by push: the same rows in the end."""

from __future__ import annotations

import itertools
import os
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from recall_wire import layout
from recall_wire.records import Record

SOAK = "RECALLD_TEST_SOAK" in os.environ
NAMES = itertools.count()

ops = st.lists(
    st.builds(
        Record,
        memory_id=st.sampled_from("mno"),
        text=st.sampled_from(["x", "y", "", None]),
        tags=st.sampled_from([(), ("t",)]),
        op=st.sampled_from(["upsert", "upsert", "upsert", "delete", "forget"]),
    ),
    min_size=1,
    max_size=4,
)


@st.composite
def deliveries(draw: st.DrawFn) -> tuple[list[list[Record]], list[tuple[int, str]]]:
    """Snapshots, and the order and the ways in which they arrive: each at least once."""
    snapshots = draw(st.lists(ops, min_size=1, max_size=4))
    numbers = range(1, len(snapshots) + 1)
    again = draw(st.lists(st.sampled_from(numbers), max_size=2))
    order = draw(st.permutations([*numbers, *again]))
    ways = st.sampled_from(["push", "bucket", "bucket, no head", "poll, push"])
    return snapshots, [(seq, draw(ways)) for seq in order]


def expected(snapshots: list[list[Record]]) -> dict[str, str | None]:
    """The live rows, from the contract's words alone: the last row wins, a forget for ever."""
    rows = [record for snapshot in snapshots for record in snapshot]
    forgotten = {record.memory_id for record in rows if record.op == "forget"}
    last = {record.memory_id: record for record in rows}
    return {
        memory_id: record.text
        for memory_id, record in last.items()
        if record.op == "upsert" and memory_id not in forgotten
    }


async def test_every_way_of_delivery_ends_in_the_same_rows(
    publisher: Any, open_test_hub: Any, pusher: Any
) -> None:
    async with open_test_hub() as hub:

        async def deliver(system_id: str, seq: int, records: list[Record], way: str) -> None:
            push = pusher(hub, system_id, seq, records)
            if way.endswith("push"):
                assert (await push.all()).status_code == 200
                return
            manifest = push.manifest
            data = publisher.manifest(system_id, seq, records)[1]
            bucket = publisher.bucket
            bucket.put(layout.data_key(system_id, seq, manifest.files[0].name), data)
            bucket.put(layout.manifest_key(system_id, seq), manifest.to_bytes())
            if way == "bucket":
                publisher.head(system_id, seq, manifest.to_bytes())

        @given(deliveries())
        @settings(
            max_examples=200 if SOAK else 10,
            deadline=None,
            suppress_health_check=[HealthCheck.function_scoped_fixture],
        )
        async def check(drawn: tuple[list[list[Record]], list[tuple[int, str]]]) -> None:
            snapshots, arrivals = drawn
            system_id = f"s{next(NAMES)}"
            for seq, way in arrivals:
                if way == "poll, push":
                    await hub.poll()
                await deliver(system_id, seq, snapshots[seq - 1], way)
            hub.hub.pipeline.agenda.look_again()
            await hub.once()

            assert hub.texts(system_id) == expected(snapshots)
            state = hub.system(system_id)
            assert (state["complete_to"], state["missing"]) == (len(snapshots), [])

        await run_in_this_loop(check)
        hub.verify()


async def run_in_this_loop(check: Any) -> None:
    """Hypothesis calls a plain function: it drives the coroutine from a thread of its own."""
    import asyncio

    loop = asyncio.get_running_loop()
    inner = check.hypothesis.inner_test

    def plain(*arguments: Any, **values: Any) -> None:
        asyncio.run_coroutine_threadsafe(inner(*arguments, **values), loop).result()

    check.hypothesis.inner_test = plain
    await asyncio.to_thread(check)
