"""Forgetting: by each criterion, twice, and against whatever would bring it back."""

from __future__ import annotations

import asyncio
import shutil
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # traces

from traces import DAYS_100, SECRET, holding, kept, records, secret

from recall_daemon.backup.owner import hub_id
from recall_daemon.errors import (
    ForgetHeld,
    ForgetInvalid,
    HubClash,
    LogNotShipped,
    NothingToForget,
)
from recall_daemon.jobs import Progress
from recall_daemon.memory.criteria import Criteria
from recall_daemon.memory.rewrite import InBucket
from recall_wire.errors import SettingsInvalid
from recall_wire.layout import owner_key
from recall_wire.records import Record


def day(number: int) -> datetime:
    return datetime(2026, 1, number, tzinfo=UTC)


def data_dir(hub: Any) -> Path:
    folder: Path = hub.hub.core.settings.data_dir
    return folder


def rows(hub: Any) -> dict[str, str]:
    """The state of every memory."""
    with hub.hub.core.store.read() as connection:
        found = connection.execute(
            "SELECT system_id || '/' || memory_id, state FROM memories ORDER BY ALL"
        ).fetchall()
    return dict(found)


def forgotten(hub: Any) -> set[str]:
    return {name for name, state in rows(hub).items() if state == "forgotten"}


FIVE = [
    Record("m0", text=secret(0), project="p", created_at=day(1)),
    Record("m1", text=kept(1), project="p", created_at=day(2)),
    Record("m2", text=kept(2), project="q", created_at=day(3)),
    Record("m3", text=secret(3), project="q", created_at=day(4)),
    Record("m4", text=None, project="q"),
]


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the first test leaves a hub and its bucket for the others."""
    return tmp_path_factory.mktemp("filled")


@pytest.fixture
async def two_systems(open_test_hub: Any, publisher: Any, tmp_path: Path, filled: Path) -> None:
    """`FIVE` twice, merged and embedded."""
    if not (filled / "hub").exists():
        publisher.publish("a", 1, FIVE)
        publisher.publish("b", 1, FIVE)
        async with open_test_hub() as hub:
            await hub.once()
        shutil.copytree(tmp_path, filled, dirs_exist_ok=True)
    else:
        shutil.copytree(filled, tmp_path, dirs_exist_ok=True)


@pytest.mark.parametrize(
    ("criteria", "expected"),
    [
        (Criteria(ids=("a/m0", "b/m3")), {"a/m0", "b/m3"}),
        (Criteria(ids=("m0",), system=("a",)), {"a/m0"}),
        (Criteria(ids=("m0",), system=("a", "b")), {"a/m0", "b/m0"}),
        (Criteria(system=("a",)), {f"a/m{n}" for n in range(5)}),
        (Criteria(project=("p",)), {"a/m0", "a/m1", "b/m0", "b/m1"}),
        (Criteria(project=("p",), system=("b",)), {"b/m0", "b/m1"}),
        (Criteria(since=day(3)), {"a/m2", "a/m3", "b/m2", "b/m3"}),
        (Criteria(since=day(2), until=day(3)), {"a/m1", "b/m1"}),
        (Criteria(query=f"THE  {SECRET}\nof"), {"a/m0", "a/m3", "b/m0", "b/m3"}),
        (Criteria(query=SECRET, system=("a",), until=day(3)), {"a/m0"}),
        (Criteria(query=SECRET, ids=("a/m0", "a/m1")), {"a/m0"}),
    ],
)
async def test_by_each_criterion(
    open_test_hub: Any, two_systems: None, criteria: Criteria, expected: set[str]
) -> None:
    async with open_test_hub() as hub:
        hub.hub.core.follow()
        planned = hub.hub.forgetting.forget(criteria, dry_run=True)
        assert forgotten(hub) == set()

        receipt = hub.hub.forgetting.forget(criteria)

        assert forgotten(hub) == expected
        assert set(receipt["ids"]) == set(planned["ids"]) == expected
        assert receipt["forgotten"] == planned["forgotten"] == len(expected)
        assert {s: n for s, n in receipt["systems"].items() if n} == {
            s: sum(name.startswith(s) for name in expected) for s in {n[0] for n in expected}
        }
        found = hub.search(SECRET, mode="words", fold=False, limit=50)
        assert len(found) == 4 - len(expected & {"a/m0", "a/m3", "b/m0", "b/m3"})
        hub.verify()


async def test_whatever_comes_later_does_not_bring_it_back(
    open_test_hub: Any, publisher: Any
) -> None:
    publisher.publish("a", 3, [Record("m0", text=secret(0)), Record("m1", text=kept(1))])
    async with open_test_hub() as hub:
        await hub.once()
        hub.hub.forgetting.forget(Criteria(ids=("m0",)))
        publisher.publish("a", 2, [Record("m0", text=secret(2))])  # late
        publisher.publish("a", 4, [Record("m0", text=secret(4)), Record("m2", text=kept(2))])
        publisher.publish("a", 5, [Record("m0", op="delete")])
        publisher.publish("a", 6, [Record("m0", text=secret(6))])
        await hub.once()
        assert rows(hub) == {"a/m0": "forgotten", "a/m1": "live", "a/m2": "live"}
        assert hub.search(SECRET, mode="words") == []
        assert holding(data_dir(hub)) == []
        before = hub.verify()

    async with open_test_hub("another") as hub:  # everything replayed, with the log
        await hub.once()
        hub.hub.forgetting.forget(Criteria(ids=("m0",)))
        assert hub.verify() == before


async def test_twice_says_that_it_was_forgotten_before(open_test_hub: Any, publisher: Any) -> None:
    publisher.publish("a", 1, records(3, [0, 1]))
    async with open_test_hub() as hub:
        await hub.once()
        first = hub.hub.forgetting.forget(Criteria(ids=("m0",)))
        before = hub.verify()
        again = hub.hub.forgetting.forget(Criteria(ids=("m0",)))
        assert (first["forgotten"], first["forgotten_before"]) == (1, 0)
        assert (again["forgotten"], again["forgotten_before"]) == (0, 1)
        assert again["still_in"] == first["still_in"]
        assert hub.verify() == before
        both = hub.hub.forgetting.forget(Criteria(system=("a",)))
        assert (both["forgotten"], both["forgotten_before"]) == (2, 1)


async def test_a_deleted_memory_can_be_forgotten_by_its_id(
    open_test_hub: Any, publisher: Any
) -> None:
    publisher.publish("a", 1, records(2, [0]))
    publisher.publish("a", 2, [Record("m0", op="delete")])
    async with open_test_hub() as hub:
        await hub.once()
        receipt = hub.hub.forgetting.forget(Criteria(ids=("m0",)))
        assert rows(hub)["a/m0"] == "forgotten"
        assert [held["rows"] for held in receipt["still_in"]] == [1]
        with pytest.raises(NothingToForget):
            hub.hub.forgetting.forget(Criteria(query=SECRET))


NAMING_NOTHING = [
    (Criteria(query="nobody ever said this"), NothingToForget, "no memory is like that"),
    (Criteria(project=("none",)), NothingToForget, "no memory is like that"),
    (Criteria(system=("none",)), NothingToForget, "no memory is like that"),
    (Criteria(ids=("a/m0", "a/m9", "m8")), NothingToForget, "no memory 'a/m9', nor 1 other"),
    (Criteria(ids=("a/m0",), system=("b",)), NothingToForget, "no memory 'a/m0' in b"),
    (Criteria(ids=("m0",)), ForgetInvalid, "'m0' could be any of 2 memories"),
    (Criteria(ids=("'; DROP TABLE memories; --",)), NothingToForget, "no memory"),
    (Criteria(ids=("../../etc/passwd",)), NothingToForget, "no memory"),
    (Criteria(ids=("a/",)), NothingToForget, "no memory 'a/'"),
    (Criteria(ids=("m\x000",)), NothingToForget, "no memory"),
    (Criteria(ids=("%",)), NothingToForget, "no memory '%'"),
]


async def test_what_names_nothing_or_too_much_changes_nothing(
    open_test_hub: Any, publisher: Any
) -> None:
    publisher.publish("a", 1, FIVE)
    publisher.publish("b", 1, FIVE)
    async with open_test_hub() as hub:
        await hub.once()
        before = hub.verify()
        for criteria, error, says in NAMING_NOTHING:
            for rewrite in (False, True):
                with pytest.raises(error, match=says):
                    hub.hub.forgetting.forget(criteria, rewrite=rewrite)
        assert hub.verify() == before


async def test_what_came_after_the_count_is_not_meant(open_test_hub: Any, publisher: Any) -> None:
    publisher.publish("a", 1, FIVE)
    async with open_test_hub() as hub:
        await hub.once()
        for criteria in (Criteria(query=SECRET), Criteria(project=("q",))):
            counted = hub.hub.forgetting.forget(criteria, dry_run=True)
            late = [Record(f"late{counted['last_row_id']}", text=secret(9), project="q")]
            publisher.publish("a", 2 + len(late) + counted["last_row_id"], late)
            await hub.once()
            told = hub.hub.forgetting.forget(criteria, upto_row=counted["last_row_id"], purge=False)
            assert told["ids"] == counted["ids"]
            assert rows(hub)[f"a/{late[0].memory_id}"] == "live"


async def test_strange_ids_are_forgotten_and_no_others(open_test_hub: Any, publisher: Any) -> None:
    strange = ["b/m0", "'; --", "%", "日本/語", "x" * 500, " ", "a/b/c"]
    publisher.publish("a", 1, [Record(name, text=secret(n)) for n, name in enumerate(strange)])
    publisher.publish("b", 1, [Record("m0", text=kept(0)), Record("m%", text=kept(1))])
    async with open_test_hub() as hub:
        await hub.once()
        with pytest.raises(ForgetInvalid, match=r"could be any of 2.*a/b/m0, b/m0"):
            hub.hub.forgetting.forget(Criteria(ids=("b/m0",)))
        hub.hub.forgetting.forget(Criteria(ids=(*strange[1:], f"a/{strange[0]}")))
        assert forgotten(hub) == {f"a/{name}" for name in strange}
        assert holding(data_dir(hub)) == []


async def test_while_ingest_goes_on(open_test_hub: Any, publisher: Any) -> None:
    publisher.publish("a", 1, records(300, range(300)))
    async with open_test_hub() as hub:
        await hub.once()
        for seq in range(2, 12):  # the same memories again, and new ones
            again = [Record(f"m{n}", text=secret(1000 * seq + n)) for n in range(0, 300, 7)]
            publisher.publish("a", seq, [*again, Record(f"n{seq}", text=kept(seq))])

        async def forget() -> None:
            for start in range(0, 300, 50):
                ids = tuple(f"a/m{n}" for n in range(start, start + 50))
                await asyncio.to_thread(hub.hub.forgetting.forget, Criteria(ids=ids), purge=False)

        await asyncio.gather(forget(), hub.poll())
        await hub.once()
        hub.hub.forgetting.purge.run(Progress())
        assert sorted(hub.texts("a")) == sorted(f"n{seq}" for seq in range(2, 12))
        assert holding(data_dir(hub)) == []
        hub.verify()


async def test_a_bucket_that_is_away_is_an_error_and_the_log_has_it_later(
    open_test_hub: Any, publisher: Any
) -> None:
    publisher.publish("a", 1, records(3, [0]))
    async with open_test_hub() as hub:
        await hub.once()
        away = publisher.root.rename(publisher.root.with_name("away"))
        with pytest.raises(LogNotShipped, match="is not in the bucket's log yet"):
            hub.hub.forgetting.forget(Criteria(ids=("m0",)))
        assert forgotten(hub) == {"a/m0"}
        assert hub.search(SECRET, mode="words") == []
        away.rename(publisher.root)
        again = hub.hub.forgetting.forget(Criteria(ids=("m0",)))
        assert again["forgotten_before"] == 1
        assert again["purge"] == "done"
        assert list(publisher.root.rglob("log/*.json.zst"))
        assert holding(data_dir(hub)) == []


async def test_cold_texts_that_cannot_be_read_hold_a_query_up_and_nothing_else(
    open_test_hub: Any, publisher: Any
) -> None:
    publisher.publish("a", 1, records(20, [3, 4]))
    async with open_test_hub(cold_fetch_timeout_s=0.5) as hub:
        await hub.once()
        hub.clock[0] += DAYS_100
        await hub.hub.jobs.run("age")
        away = publisher.root.rename(publisher.root.with_name("away"))
        with pytest.raises(ForgetHeld, match="nothing was forgotten"):
            hub.hub.forgetting.forget(Criteria(query=SECRET))
        assert forgotten(hub) == set()
        away.rename(publisher.root)
        receipt = hub.hub.forgetting.forget(Criteria(query=SECRET))
        assert set(receipt["ids"]) == {"a/m3", "a/m4"}


async def test_others_that_say_the_same_are_told_and_stay(
    open_test_hub: Any, publisher: Any
) -> None:
    publisher.publish("a", 1, [Record("m0", text=secret(0)), Record("m1", text=kept(1))])
    publisher.publish("b", 1, [Record("copy", text=secret(0))])
    async with open_test_hub() as hub:
        await hub.once()
        receipt = hub.hub.forgetting.forget(Criteria(ids=("a/m0", "m1")))
        assert receipt["same_text"] == {"memories": 1, "ids": ["b/copy"]}
        assert hub.search(SECRET, mode="words") == ["copy"]


async def test_vectors_go_with_the_text(open_test_hub: Any, publisher: Any) -> None:
    publisher.publish("a", 1, records(5, [1]))
    async with open_test_hub() as hub:
        await hub.once()
        hub.clock[0] += timedelta(days=1)
        counts = hub.hub.core.index.counts
        hub.hub.forgetting.forget(Criteria(ids=("m1",)))
        after = hub.hub.core.index.counts
        assert (counts.rows, counts.vectors) == (5, 5)
        assert (after.rows, after.vectors) == (4, 4)
        with hub.hub.core.store.read() as connection:
            assert connection.execute("SELECT count(*) FROM passages").fetchall() == [(4,)]


async def test_what_the_bucket_says_hides_no_forget(
    open_test_hub: Any, publisher: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    publisher.publish("a", 1, records(3, [0, 1]))
    async with open_test_hub() as hub:
        await hub.once()

        def refused(*_: object) -> None:
            raise SettingsInvalid("'ftp://x' is not a bucket URL")

        for rewrite, told in ((False, "looked into"), (True, "rewritten")):
            criteria = Criteria(ids=(f"m{rewrite:d}",))
            with monkeypatch.context() as patch:
                patch.setattr(InBucket, "rewrite" if rewrite else "left", refused)
                receipt = hub.hub.forgetting.forget(criteria, rewrite=rewrite)
            assert (receipt["forgotten"], receipt["bucket"]) == (1, "pending")
            assert f"could not be {told}: 'ftp://x' is not a bucket URL" in receipt["notes"][-1]
        assert forgotten(hub) == {"a/m0", "a/m1"}
        assert hub.hub.forgetting.forget(Criteria(ids=("m0",)))["bucket"] == "done"


async def test_a_hub_whose_id_was_taken_over_forgets_nothing(
    open_test_hub: Any, publisher: Any
) -> None:
    publisher.publish("a", 1, records(3, [0]))
    async with open_test_hub() as hub:
        await hub.once()
        bucket, own = hub.hub.archive.bucket, hub_id(hub.hub.core.store)
        bucket.put(owner_key(own), b'{"holder": "another"}')
        with pytest.raises(HubClash, match="names another data folder"):
            hub.hub.forgetting.forget(Criteria(ids=("m0",)))
        assert forgotten(hub) == set()
        bucket.delete(owner_key(own))
        assert hub.hub.forgetting.forget(Criteria(ids=("m0",)))["forgotten"] == 1


async def test_beside_a_systems_name_an_id_is_its_own(open_test_hub: Any, publisher: Any) -> None:
    publisher.publish("a", 1, [Record("m", text="one"), Record("a/m", text="two")])
    async with open_test_hub() as hub:
        await hub.once()
        with pytest.raises(ForgetInvalid):
            hub.hub.forgetting.forget(Criteria(ids=("a/m",)))
        hub.hub.forgetting.forget(Criteria(ids=("a/m",), system=("a",)), purge=False)
        assert forgotten(hub) == {"a/a/m"}
        hub.hub.forgetting.forget(Criteria(ids=("m",), system=("a",)), purge=False)
        assert forgotten(hub) == {"a/a/m", "a/m"}
