"""The gauges say what there is, and count the backlog only where something was written."""

from __future__ import annotations

from typing import Any

import pytest

from recall_daemon.backlog import Backlog
from recall_daemon.gauges import Gauges
from recall_daemon.metrics import REGISTRY
from recall_wire.records import Record

PARTS = {"parts": {"index": "ok, and being made anew: 1 of 2", "bucket": "it is away"}}


def value(name: str, **labels: str) -> float | None:
    return REGISTRY.get_sample_value(name, labels)


async def test_what_there_is(
    open_test_hub: Any, publisher: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    for seq in (1, 4):
        publisher.publish("a", seq, [Record(f"m{seq}", text=f"text {seq}")])
    publisher.commit("b", 1, b"{}")
    async with open_test_hub() as opened:
        await opened.poll()
        await opened.hub.finish()
        publisher.publish("a", 5, [Record("m5", text="not embedded yet")])
        await opened.poll()
        opened.clock[0] = opened.clock[0].replace(minute=2)
        gauges = Gauges(opened.hub, lambda: PARTS)
        gauges.refresh()
        core = opened.hub.core
        assert value("recalld_systems") == 2
        assert value("recalld_snapshots_missing") == 2
        assert value("recalld_snapshots_in_quarantine") == 1
        assert value("recalld_system_lag_max_seconds") == 120
        assert [value("recalld_rows", tier=tier) for tier in ("hot", "warm", "cold")] == [3, 0, 0]
        assert value("recalld_backlog_texts") == 1
        assert value("faiss_index_size") == core.index.counts.vectors == 2
        assert value("recalld_store_bytes", **{}) >= core.store.path.stat().st_size
        assert value("recalld_disk_free_bytes") > 0
        assert value("recalld_degraded", part="index") == 0
        assert value("recalld_degraded", part="bucket") == 1

        counted: list[str] = []
        size = Backlog.size
        monkeypatch.setattr(Backlog, "size", lambda *a: counted.append("") or size(*a))
        gauges.refresh()
        assert counted == []
        await opened.hub.finish()
        gauges.refresh()
        assert (len(counted) >= 1, value("recalld_backlog_texts")) == (True, 0)
