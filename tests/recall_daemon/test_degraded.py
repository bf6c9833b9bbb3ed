"""Without a model the hub merges, answers by words and says so; the backlog waits."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from recall_wire.records import Record


async def test_words_alone_answer_and_the_backlog_waits(
    publisher: Any, open_test_hub: Any, tmp_path: Path
) -> None:
    publisher.publish("a", 1, [Record("m", text="the lighthouse"), Record("n", text="harbour")])
    no_model = {"embedder": "auto", "model_dir": tmp_path / "nowhere"}
    async with open_test_hub(**no_model) as hub:
        report = await hub.once()
        assert (report.merged, report.pending) == (1, 2)
        assert hub.search("lighthouse") == ["m"]
        status = hub.hub.core.operations.status()
        assert (status["rows"], status["backlog"], status["degraded"]) == (2, 2, True)
        assert "nowhere" in hub.hub.core.embedder.why_not

    async with open_test_hub() as hub:
        report = await hub.once()
        assert report.pending == 0
        status = hub.hub.core.operations.status()
        assert (status["backlog"], status["degraded"]) == (0, False)
