"""Rates: what was merged and embedded between two samples, from a bounded ring."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from recall_daemon.serve.dashboard import rates
from recall_daemon.serve.dashboard.rates import Rates
from recall_daemon.store import totals
from recall_wire.records import Record

START = datetime(2026, 1, 2, tzinfo=UTC)


def _rates(test_hub: Any, clock: list[datetime]) -> Rates:
    core = test_hub.hub.core
    return Rates(core.store, core.embedder.space_id, interval_s=30, now=lambda: clock[0])


def _records(count: int, first: int = 0) -> list[Record]:
    return [
        Record(memory_id=f"m{at}", kind="note", text=f"note {at}")
        for at in range(first, first + count)
    ]


async def test_rows_and_texts_a_second(open_test_hub: Any, publisher: Any) -> None:
    async with open_test_hub() as test_hub:
        clock = [START]
        sampled = _rates(test_hub, clock)
        sampled.sample()
        assert sampled.samples == ()
        publisher.publish("a", 1, _records(20))
        await test_hub.poll()
        clock[0] += timedelta(seconds=10)
        sampled.sample()
        await test_hub.once()
        clock[0] += timedelta(seconds=40)
        sampled.sample()
        merged, embedded = sampled.samples
        assert (merged.rows_per_s, merged.texts_per_s, merged.backlog) == (2.0, 0.0, 20)
        assert (embedded.rows_per_s, embedded.texts_per_s, embedded.backlog) == (0.0, 0.5, 0)


async def test_an_idle_store_is_not_read_through(
    open_test_hub: Any, publisher: Any, monkeypatch: Any
) -> None:
    async with open_test_hub() as test_hub:
        publisher.publish("a", 1, _records(3))
        await test_hub.once()
        clock = [START]
        sampled = _rates(test_hub, clock)
        sampled.sample()

        def refuse(*_: object) -> totals.Totals:
            raise AssertionError("nothing changed")

        monkeypatch.setattr(rates, "totals", refuse)
        clock[0] += timedelta(seconds=30)
        sampled.sample()
        assert [sample.rows_per_s for sample in sampled.samples] == [0.0]


async def test_the_ring_is_bounded_and_a_clock_set_back_leaves_a_sample_out(
    open_test_hub: Any,
) -> None:
    async with open_test_hub() as test_hub:
        clock = [START]
        sampled = _rates(test_hub, clock)
        for _ in range(rates.SAMPLES_MAX + 5):
            clock[0] += timedelta(seconds=30)
            sampled.sample()
        assert len(sampled.samples) == rates.SAMPLES_MAX
        clock[0] -= timedelta(hours=1)
        sampled.sample()
        assert sampled.samples[-1].at > clock[0]
