"""Posts: durable, grouped, idempotent, in their place, restored, and forgotten wholly."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
import pytest

sys.path.insert(0, str(Path(__file__).parent))  # traces

from traces import SECRET, holding, kept, secret

from recall_daemon.errors import DiskFull, KeyReused
from recall_daemon.jobs import Progress
from recall_daemon.memory.criteria import Criteria
from recall_daemon.memory.posts import Posts
from recall_daemon.store import answers, audit, audit_log, journal, ledger
from recall_daemon.store.answers import Key
from recall_daemon.store.store import Store
from recall_wire.errors import RecallError
from recall_wire.records import Record

NOW = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = Store(tmp_path / "store")
    yield opened
    opened.close()


def posts_of(store: Store, told: list[int] | None = None) -> Posts:
    def tell() -> None:
        if told is not None:
            told.append(1)

    return Posts(store, check_disk=lambda: None, on_merged=tell, now=lambda: NOW)


def texts(store: Store) -> dict[str, str | None]:
    with store.read() as connection:
        return dict(
            connection.execute(
                "SELECT system_id || '/' || memory_id, text FROM memories WHERE state = 'live'"
            ).fetchall()
        )


def problems(store: Store) -> list[str]:
    with store.read() as connection:
        return [*audit.problems(connection), *audit_log.problems(connection)]


def test_a_post_is_there_when_it_is_acknowledged(store: Store) -> None:
    told: list[int] = []
    stored = posts_of(store, told).store("a", [Record("m", text="one")], actor="x")

    assert (stored.stored_at, texts(store), told) == (NOW, {"a/m": "one"}, [1])
    with store.read() as connection:
        assert [e.kind for e in journal.unshipped(connection, 10, 1 << 20)] == ["post"]
    assert problems(store) == []


def test_posts_of_one_run_share_a_ledger_entry_and_the_last_wins(store: Store) -> None:
    posts = posts_of(store)
    for number in range(3):
        posts.store("a", [Record("m", text=f"text {number}")], actor="x")
    posts.store("a", [Record("n", text="first"), Record("n", text="last")], actor="x")

    assert texts(store) == {"a/m": "text 2", "a/n": "last"}
    with store.read() as connection:
        entry = ledger.newest(connection, "a")
    assert entry is not None
    assert (entry.kind, entry.rows, entry.rows_done) == ("post", 5, 5)
    assert problems(store) == []


def test_many_threads_share_transactions_and_none_is_lost(store: Store) -> None:
    posts = posts_of(store)

    def write(thread: int) -> None:
        for number in range(10):
            record = Record(f"m{thread}-{number}", text="text")
            posts.store("ab"[thread % 2], [record], actor="x")

    threads = [threading.Thread(target=write, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(texts(store)) == 80
    assert problems(store) == []


def test_a_key_is_answered_once_for_all(store: Store) -> None:
    posts = posts_of(store)
    key = Key("x", "k", "request")
    first = posts.store("a", [Record("m", text="one")], actor="x", key=key)
    posts.store("a", [Record("m", text="two")], actor="x")

    assert posts.store("a", [Record("m", text="one")], actor="x", key=key) == first
    assert texts(store) == {"a/m": "two"}
    with pytest.raises(KeyReused):
        posts.store("a", [Record("m", text="1")], actor="x", key=Key("x", "k", "another"))
    # Another caller's keys are another's.
    posts.store("a", [Record("m", text="three")], actor="y", key=Key("y", "k", "another"))
    assert texts(store) == {"a/m": "three"}


def test_answers_that_are_too_old_to_be_asked_for_go(store: Store) -> None:
    at = [NOW]
    posts = Posts(store, check_disk=lambda: None, on_merged=lambda: None, now=lambda: at[0])

    def keys() -> list[str]:
        with store.read() as connection:
            rows = connection.execute("SELECT key FROM answers ORDER BY key").fetchall()
        return [row[0] for row in rows]

    for number in range(3):
        key = Key("x", f"k{number}", "request")
        posts.store("a", [Record("m", text=f"t{number}")], actor="x", key=key)
    assert keys() == ["k0", "k1", "k2"]
    at[0] += answers.KEPT
    posts.store("a", [Record("m", text="late")], actor="x", key=Key("x", "late", "request"))
    assert keys() == ["late"]


def test_where_no_transaction_can_begin_every_post_fails_and_none_waits_for_ever(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = store._writer
    real = writer._connection

    class Invalid:
        """A connection whose database DuckDB has given up."""

        def execute(self, sql: str, *values: object) -> object:
            if sql == "BEGIN":
                raise duckdb.FatalException("the database has been invalidated")
            return real.execute(sql, *values)

        def close(self) -> None:
            real.close()

    posts = posts_of(store)
    monkeypatch.setattr(writer, "_connection", Invalid())
    waiting = [posts.begin({"a": [Record(f"m{i}", text="ok")]}, actor="x") for i in range(3)]
    assert all(isinstance(one.exception(30), RecallError) for one in waiting)
    monkeypatch.setattr(writer, "_connection", real)
    assert posts.store("a", [Record("m", text="one")], actor="x").stored_at == NOW
    assert texts(store) == {"a/m": "one"}


def test_one_bad_post_takes_no_other_with_it(store: Store) -> None:
    posts = posts_of(store)
    held = threading.Event()
    first = store.submit(lambda _: held.wait(30))  # so that the posts share a transaction
    good = [posts.begin({"a": [Record(f"n{i}", text="ok")]}, actor="x") for i in range(3)]
    bad = posts.begin({"a": [Record("m", text="\ud800")]}, actor="x")
    good += [posts.begin({"a": [Record(f"o{i}", text="ok")]}, actor="x") for i in range(3)]
    held.set()

    assert first.result()
    assert bad.exception(30) is not None
    assert all(one.result(30).stored_at == NOW for one in good)
    assert sorted(texts(store)) == [f"a/{letter}{i}" for letter in "no" for i in range(3)]
    assert problems(store) == []


def test_a_subscriber_that_fails_keeps_nobody_waiting(store: Store) -> None:
    def fail() -> None:
        raise RuntimeError("nobody listens")

    posts = Posts(store, check_disk=lambda: None, on_merged=fail, now=lambda: NOW)
    first = posts.begin({"a": [Record("m", text="one")]}, actor="x")
    assert first.result(30).stored_at == NOW


def test_a_full_disk_refuses_before_anything_is_written(store: Store) -> None:
    def full() -> None:
        raise DiskFull("the disk is full")

    posts = Posts(store, check_disk=full, on_merged=lambda: None, now=lambda: NOW)
    with pytest.raises(DiskFull):
        posts.store("a", [Record("m", text="one")], actor="x")
    assert texts(store) == {}


async def test_posts_and_snapshots_keep_their_order(open_test_hub: Any, publisher: Any) -> None:
    publisher.publish("a", 1, [Record("m", text="of snapshot 1"), Record("n", text="n1")])
    async with open_test_hub() as hub:
        await hub.once()
        store = hub.hub.core.store
        posts_of(store).store("a", [Record("m", text="posted")], actor="x")
        assert texts(store)["a/m"] == "posted"

        publisher.publish("a", 2, [Record("m", text="of snapshot 2")])
        await hub.once()
        assert texts(store)["a/m"] == "of snapshot 2"

        posts_of(store).store("a", [Record("m", text="posted again")], actor="x")
        with store.read() as connection:
            entry = ledger.newest(connection, "a")
        assert entry is not None
        assert (entry.place.seq, entry.place.sub, entry.rows) == (2, 1, 1)
        assert texts(store)["a/m"] == "posted again"
        assert problems(store) == []


async def test_what_is_forgotten_leaves_journal_and_log(open_test_hub: Any, tmp_path: Path) -> None:
    async with open_test_hub() as hub:
        posts = posts_of(hub.hub.core.store)
        posts.store("a", [Record("m", text=secret(1)), Record("n", text=kept(1))], actor="x")
        hub.hub.archive.log.ship_now()
        posts.store("a", [Record("m", text=secret(2))], actor="x")
        assert len([name for name in holding(tmp_path) if "/log/" in name]) == 1

        told = hub.hub.forgetting.forget(Criteria(ids=("a/m",)))
        still = [one for one in told["still_in"] if one["kind"] == "log"]
        assert [one["rows"] for one in still] == [1]
        # What had not been shipped yet never gets there.
        assert [name for name in holding(tmp_path) if "/log/" not in name] == []
        assert len(holding(tmp_path)) == 1

        again = hub.hub.forgetting.forget(Criteria(ids=("a/m",)), rewrite=True)
        assert holding(tmp_path) == []
        assert still[0]["key"] in again["rewritten"]

        posts.store("a", [Record("m", text=secret(3))], actor="x")
        hub.hub.archive.log.ship_now()
        assert holding(tmp_path) == []
        assert texts(hub.hub.core.store) == {"a/n": kept(1)}
        assert problems(hub.hub.core.store) == []


async def test_a_log_object_that_was_scrubbed_is_still_known_as_its_own(
    open_test_hub: Any, tmp_path: Path
) -> None:
    async with open_test_hub() as hub:
        posts_of(hub.hub.core.store).store("a", [Record("m", text=secret(1))], actor="x")
        hub.hub.archive.log.ship_now()
        # As after a kill between the PUT and the note that it was done.
        hub.hub.core.store.write(
            lambda c: c.execute("DELETE FROM facts WHERE name = 'log_shipped'").fetchall()
        )
        hub.hub.forgetting.forget(Criteria(ids=("a/m",)), rewrite=True)
        hub.hub.archive.log.ship_now()
        assert SECRET not in str(holding(tmp_path))


async def test_a_long_log_is_named_and_not_read(open_test_hub: Any) -> None:
    async with open_test_hub() as hub:
        log = hub.hub.archive.log
        for number in range(3):
            posts_of(hub.hub.core.store).store("a", [Record(f"m{number}", text="t")], actor="x")
            log.ship_now()
        assert list(log.holding({"a": {"m1"}}, most=3).values()) == [1]
        (named,) = log.holding({"a": {"m1"}}, most=2)
        assert named.endswith("/log/")
        assert log.holding({"b": {"m1"}}, most=0) == {}  # nothing was ever posted to it


async def test_a_backup_lets_the_log_go(open_test_hub: Any) -> None:
    async with open_test_hub() as hub:
        posts = posts_of(hub.hub.core.store)
        for number in range(3):
            posts.store("a", [Record(f"m{number}", text="t")], actor="x")
            hub.hub.archive.log.ship_now()
        hub.hub.archive.backups.run(Progress())
        left = hub.hub.archive.log.holding({"a": {"m0", "m1", "m2"}}, most=9)
        assert list(left.values()) == [1]
