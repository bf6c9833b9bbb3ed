"""A new model takes over when it is complete; until then the old one serves, whatever happens."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from recall_daemon import backlog
from recall_daemon.embed.hashing import HashEmbedder
from recall_daemon.errors import JobStopped, ModelChangeHeld
from recall_daemon.jobs import Progress
from recall_daemon.search.query import SearchRequest
from recall_daemon.store import spaces
from recall_wire.records import Record

OLD, NEW = HashEmbedder().space.space_id, HashEmbedder("2").space.space_id
TEXTS = ["the lighthouse keeper", "a harbour at night", "nets and ropes", "salt " * 900]


def records(first: int, texts: list[str]) -> list[Record]:
    return [Record(f"m{first + n}", text=text) for n, text in enumerate(texts)]


@pytest.fixture
def filled(publisher: Any, open_test_hub: Any) -> Any:
    async def fill() -> str:
        publisher.publish("a", 1, records(0, TEXTS))
        async with open_test_hub() as hub:
            await hub.once()
            return str(hub.verify())

    return fill


class StopAfter(Progress):
    """Has the job stop at its nth word of progress."""

    def __init__(self, updates: int) -> None:
        super().__init__()
        self.left = updates

    def update(self, done: int, total: int | None = None, detail: str | None = None) -> None:
        super().update(done, total, detail)
        self.left -= 1
        if self.left == 0:
            raise JobStopped("the hub is stopping")


def passages(hub: Any) -> dict[str, int]:
    with hub.hub.core.store.read() as connection:
        return dict(
            connection.execute(
                "SELECT space_id, count(*) FROM passages GROUP BY space_id ORDER BY space_id"
            ).fetchall()
        )


def states(hub: Any) -> dict[str, str]:
    with hub.hub.core.store.read() as connection:
        return {state: space.space_id for state, space in spaces.listed(connection).items()}


def meaning(hub: Any, query: str) -> float | None:
    """The best hit's cosine; None where the search goes by words alone."""
    answer = hub.hub.core.operations.search(SearchRequest(query))
    assert answer["degraded"] == (answer["hits"][0]["scores"]["meaning"] is None)
    score = answer["hits"][0]["scores"]["meaning"]
    return None if score is None else round(score, 3)


async def test_the_new_space_takes_over_and_nothing_of_the_old_is_left(
    filled: Any, open_test_hub: Any
) -> None:
    logical_hash = await filled()
    async with open_test_hub(embedder="hash:2") as hub:
        assert (await hub.once()).pending == 0
        assert states(hub) == {"serving": NEW}
        assert set(passages(hub)) == {NEW}
        assert meaning(hub, "a harbour at night") == 1.0
        assert hub.verify() == logical_hash
        assert not hub.hub.model_change.is_needed()


async def test_the_export_of_the_old_weights_goes_and_no_other(
    filled: Any, open_test_hub: Any, tmp_path: Path
) -> None:
    await filled()
    old, new = spaces.revision_of(OLD), spaces.revision_of(NEW)
    folders = {name: tmp_path / "hub/models" / f"all-MiniLM-L6-v2-{name}" for name in (old, new)}
    assert old != new
    for folder in folders.values():
        folder.mkdir(parents=True)
        (folder / "model.onnx").write_bytes(b"x")
    async with open_test_hub(embedder="hash:2") as hub:
        with pytest.raises(JobStopped):
            hub.hub.model_change.run(StopAfter(1))
        assert folders[old].exists()  # it still serves
        await hub.once()
        assert not hub.hub.model_change.is_needed()
    assert [folder.exists() for folder in folders.values()] == [False, True]


async def test_the_old_space_serves_until_the_new_one_is_complete(
    filled: Any, open_test_hub: Any, publisher: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    await filled()
    monkeypatch.setattr(backlog, "BATCH_TEXTS", 1)
    publisher.publish("a", 2, records(10, ["gulls over the quay"]))
    async with open_test_hub(embedder="hash:2") as hub:
        with pytest.raises(JobStopped):
            hub.hub.model_change.run(StopAfter(3))
        assert states(hub) == {"serving": OLD, "building": NEW}
        assert hub.hub.core.embedder.get() is not None
        assert 0 < passages(hub)[NEW] < passages(hub)[OLD]
        hub.hub.core.follow()
        assert meaning(hub, "a harbour at night") == 1.0

        # What comes meanwhile is found by its meaning in the old space, and is not lost to the new.
        await hub.poll()
        embedder = hub.hub.core.embedder.get()
        assert embedder is not None
        assert embedder.space.space_id == OLD
        hub.hub.backlog.drain(embedder)
        hub.hub.core.follow()
        assert meaning(hub, "gulls over the quay") == 1.0

        hub.hub.model_change.run(Progress())
        hub.hub.core.follow()
        assert meaning(hub, "gulls over the quay") == 1.0
        assert set(passages(hub)) == {NEW}
        hub.verify()


async def test_rows_that_come_at_the_last_moment_hold_the_switch_up(
    filled: Any, open_test_hub: Any, publisher: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    await filled()
    async with open_test_hub(embedder="hash:2") as hub:
        models, store = hub.hub.core.embedder, hub.hub.core.store
        building = models.building()
        assert models.get() is not None
        hub.hub.backlog.drain(building)
        publisher.publish("a", 2, records(10, ["gulls over the quay"]))
        await hub.poll()
        adopted: list[str] = []
        assert not models.take_over(building, besides=[], adopt=adopted.append)
        assert (states(hub), adopted) == ({"serving": OLD, "building": NEW}, [])
        assert models.space_id() == OLD
        hub.hub.backlog.drain(building)
        assert models.take_over(building, besides=[], adopt=adopted.append)
        assert (states(hub), adopted, models.space_id()) == ({"serving": NEW}, [NEW], NEW)
        with store.read() as connection:
            assert spaces.unlisted(connection) == [OLD]


async def test_a_search_at_the_switch_compares_vectors_of_one_space_only(
    filled: Any, open_test_hub: Any
) -> None:
    await filled()
    async with open_test_hub(embedder="hash:2") as hub:
        core = hub.hub.core
        core.follow()
        building = core.embedder.building()
        assert core.embedder.get() is not None
        hub.hub.backlog.drain(building)
        found = [meaning(hub, "a harbour at night")]

        def adopt(space_id: str) -> None:
            """The old model serves still, and the index already has the new one's vectors."""
            core.adopt(space_id)
            assert (core.embedder.space_id(), core.index.view().vectors.space_id) == (OLD, NEW)
            found.append(meaning(hub, "a harbour at night"))

        assert core.embedder.take_over(building, besides=[], adopt=adopt)
        assert [*found, meaning(hub, "a harbour at night")] == [1.0] * 3


async def test_without_the_model_of_the_index_words_answer(filled: Any, open_test_hub: Any) -> None:
    await filled()
    async with open_test_hub(embedder="hash:2") as hub:
        core = hub.hub.core
        core.follow()
        assert core.index.view().vectors.space_id == OLD
        core.embedder._wanted.get()
        assert meaning(hub, "a harbour at night") is None
        assert core.embedder.get() is not None
        assert meaning(hub, "a harbour at night") == 1.0


async def test_setting_it_back_drops_the_half_built_space(
    filled: Any, open_test_hub: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    logical_hash = await filled()
    monkeypatch.setattr(backlog, "BATCH_TEXTS", 1)
    async with open_test_hub(embedder="hash:2") as hub:
        with pytest.raises(JobStopped):
            hub.hub.model_change.run(StopAfter(3))
        assert set(passages(hub)) == {OLD, NEW}
    async with open_test_hub() as hub:
        await hub.once()
        assert states(hub) == {"serving": OLD}
        assert set(passages(hub)) == {OLD}
        assert hub.verify() == logical_hash
        assert meaning(hub, "a harbour at night") == 1.0


async def test_an_old_model_that_is_gone_leaves_words_until_the_new_one_is_complete(
    filled: Any, open_test_hub: Any
) -> None:
    await filled()
    async with open_test_hub() as hub:
        gone = json.dumps({"embedder": "minilm", "model_dir": "/nowhere"})
        hub.hub.core.store.write(
            lambda connection: connection.execute("UPDATE spaces SET model = ?", [gone]).fetchall()
        )
    async with open_test_hub(embedder="hash:2") as hub:
        await hub.poll()
        with capture_logs() as logs:
            assert hub.hub.core.embedder.get() is None
        assert [entry["event"] for entry in logs] == ["model.changing", "model.unavailable"]
        assert "/nowhere" in hub.hub.core.embedder.why_not
        hub.hub.core.follow()
        assert meaning(hub, "a harbour at night") is None
        assert hub.hub.core.operations.status()["degraded"]
        await hub.once()
        assert meaning(hub, "a harbour at night") == 1.0
        hub.verify()


async def test_a_new_model_that_cannot_be_opened_changes_nothing(
    filled: Any, open_test_hub: Any, tmp_path: Path
) -> None:
    logical_hash = await filled()
    async with open_test_hub(embedder="minilm", model_dir=tmp_path / "nowhere") as hub:
        assert (await hub.once()).pending == 0
        assert states(hub) == {"serving": OLD}
        assert meaning(hub, "a harbour at night") == 1.0
        assert hub.verify() == logical_hash


async def test_texts_that_are_away_hold_the_switch_up(filled: Any, open_test_hub: Any) -> None:
    await filled()
    async with open_test_hub(embedder="hash:2") as hub:
        store = hub.hub.core.store
        store.write(
            lambda connection: connection.execute(
                "UPDATE memories SET tier = 'cold', cold_file = 1, cold_row = 0, text = NULL "
                "WHERE memory_id = 'm1'"
            ).fetchall()
        )
        hub.hub.backlog._cold_texts = backlog._none_cold
        with capture_logs(), pytest.raises(ModelChangeHeld, match="1 texts"):
            hub.hub.model_change.run(Progress())
        assert states(hub) == {"serving": OLD, "building": NEW}
        hub.hub.backlog._cold_texts = lambda row_ids: {2: "a harbour at night"}
        hub.hub.model_change.run(Progress())
        assert states(hub) == {"serving": NEW}
        assert meaning(hub, "harbour at night") is not None


async def test_a_text_that_the_new_model_cannot_take_holds_nothing_up(
    filled: Any, open_test_hub: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from recall_daemon.embed.errors import EmbeddingFailed

    await filled()
    async with open_test_hub(embedder="hash:2") as hub:
        building = hub.hub.core.embedder.building()
        real = building.encode

        def encode(texts: list[str]) -> Any:
            if "nets and ropes" in texts:
                raise EmbeddingFailed("no")
            return real(texts)

        monkeypatch.setattr(building, "encode", encode)
        with capture_logs():
            hub.hub.model_change.run(Progress())
        assert states(hub) == {"serving": NEW}
        assert hub.hub.backlog.size(NEW) == 0


async def test_the_state_tells_how_far_the_new_space_is(
    filled: Any, open_test_hub: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    await filled()
    monkeypatch.setattr(backlog, "BATCH_TEXTS", 1)
    async with open_test_hub(embedder="hash:2") as hub:
        hub.hub.core.embedder.get()
        with pytest.raises(JobStopped):
            hub.hub.model_change.run(StopAfter(4))
        told = hub.hub.core.operations.model()
        assert (told["serving"]["space_id"], told["building"]["space_id"]) == (OLD, NEW)
        assert (told["serving"]["done"], told["building"]["done"]) == (4, 2)
        assert told["building"]["total"] == 4
        assert not told["degraded"]
