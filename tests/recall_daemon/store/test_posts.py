"""Posts among snapshots, forgets and works that fail: what a plain model says, and again from the
journal."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from recall_daemon.store import audit, audit_log, forget, journal, ledger, posts
from recall_daemon.store.audit_log import Act
from recall_daemon.store.ledger import Entry, Place
from recall_daemon.store.merge import merge_rows
from recall_daemon.store.store import Connection, Store
from recall_wire.records import Record

EXAMPLES = 300 if os.environ.get("RECALLD_TEST_SOAK") else 8
NOW = datetime(2026, 1, 1, tzinfo=UTC)
SYSTEMS, IDS = ("a", "b"), ("m", "n", "o")
Rows = Callable[[list[Record]], Any]

upserts = st.lists(
    st.builds(Record, st.sampled_from(IDS), text=st.sampled_from(["one", "two"])),
    min_size=1,
    max_size=3,
)
parts = st.dictionaries(st.sampled_from(SYSTEMS), upserts, min_size=1)
names = st.tuples(st.sampled_from(SYSTEMS), st.sampled_from(IDS))
steps = st.lists(
    st.tuples(st.sampled_from(["post", "fails"]), parts)
    | st.tuples(st.just("snapshot"), st.tuples(st.sampled_from(SYSTEMS), upserts))
    | st.tuples(st.just("forget"), names),
    min_size=1,
    max_size=12,
)


class Failed(Exception):
    """A work that comes to nothing."""


class Hub:
    """A store, and beside it what it should hold."""

    def __init__(self, store: Store, rows: Rows) -> None:
        self.store, self.rows = store, rows
        self.live: dict[tuple[str, str], str | None] = {}
        self.forgotten: set[tuple[str, str]] = set()
        self.seqs = dict.fromkeys(SYSTEMS, 0)
        self.posted = self.posts = 0

    def post(self, said: dict[str, list[Record]]) -> None:
        self.store.write(partial(self._post, said))
        for system_id, records in said.items():
            self._hold(system_id, records)
            self.posted += len(records)
        self.posts += 1

    def fails(self, said: dict[str, list[Record]]) -> None:
        def work(connection: Connection) -> None:
            self._post(said, connection)
            self._merge(SYSTEMS[0], 99, said.get(SYSTEMS[0], []), connection)
            self._post(said, connection)
            raise Failed

        with pytest.raises(Failed):
            self.store.write(work)

    def snapshot(self, said: tuple[str, list[Record]]) -> None:
        system_id, records = said
        self.seqs[system_id] += 1
        self.store.write(partial(self._merge, system_id, self.seqs[system_id], records))
        self._hold(system_id, records)

    def forget(self, name: tuple[str, str]) -> None:
        def work(connection: Connection) -> None:
            number = journal.append(connection, "forget", {}, NOW)
            forget.forget_rows(connection, [name], number, NOW)

        self.store.write(work)
        self.live.pop(name, None)
        self.forgotten.add(name)

    def _hold(self, system_id: str, records: list[Record]) -> None:
        for record in records:
            if (system_id, record.memory_id) not in self.forgotten:
                self.live[system_id, record.memory_id] = record.text

    def _post(self, said: dict[str, list[Record]], connection: Connection) -> None:
        acts = [Act("x", "memories.stored", system_id, {}) for system_id in said]
        posts.post_all(connection, said, NOW, acts)

    def _merge(
        self, system_id: str, seq: int, records: list[Record], connection: Connection
    ) -> None:
        place, count = Place(system_id, seq), len(records)
        entry = Entry(place, "bucket", "", "merged", NOW, rows=count, rows_done=count)
        ledger.see_system(connection, system_id, NOW)
        ledger.record(connection, entry)
        merge_rows(connection, place, self.rows(records), NOW)

    def check(self) -> None:
        with self.store.read() as connection:
            held = connection.execute(
                "SELECT system_id, memory_id, text FROM memories WHERE state = 'live'"
            ).fetchall()
            [(rows,)] = connection.execute(
                "SELECT coalesce(sum(rows_done), 0) FROM snapshots WHERE kind = 'post'"
            ).fetchall()
            assert audit.problems(connection) == audit_log.problems(connection) == []
        assert {(system_id, name): text for system_id, name, text in held} == self.live
        assert rows == self.posted

    def snapshot_of_posts(self) -> list[Any]:
        """Every row that posts brought, in its place, and the journal's say."""
        with self.store.read() as connection:
            return [
                connection.execute(
                    "SELECT system_id, memory_id, state, seq, sub, row_no, content_hash "
                    "FROM memories ORDER BY ALL"
                ).fetchall(),
                connection.execute(
                    "SELECT system_id, seq, sub, rows FROM snapshots ORDER BY ALL"
                ).fetchall(),
            ]

    def replay(self) -> None:
        """All the journal says, again: as when a crash came before it was noted as done."""
        with self.store.read() as connection:
            entries = journal.unshipped(connection, 10_000, 1 << 30)
        for entry in entries:
            if entry.kind == "post":
                body = json.loads(json.dumps(entry.body))
                self.store.write(partial(posts.replay, body=body, now=NOW))


def emptied(store: Store) -> Store:
    def work(connection: Connection) -> None:
        for name in ("memories", "snapshots", "systems", "journal", "audit_log", "passages"):
            connection.execute(f"DELETE FROM {name}")
        connection.execute("UPDATE counters SET value = 0")

    store.write(work)
    return store


def test_whatever_happens_between_posts(tmp_path: Path, with_store: Any, rows: Any) -> None:
    store = Store(with_store(tmp_path / "hub"))
    one, two = Record("m", text="one"), Record("m", text="two")

    @settings(max_examples=EXAMPLES, deadline=None, database=None)
    @given(steps)
    @example([("post", {"a": [one]}), ("snapshot", ("a", [two])), ("post", {"a": [one]})])
    @example([("post", {"a": [one]}), ("fails", {"a": [two]}), ("post", {"a": [one, two]})])
    @example([("post", {"a": [one]}), ("forget", ("a", "m")), ("post", {"a": [two], "b": [two]})])
    def live(work: list[tuple[str, Any]]) -> None:
        hub = Hub(emptied(store), rows)
        for name, said in work:
            getattr(hub, name)(said)
        hub.check()
        before = hub.snapshot_of_posts()
        hub.replay()
        assert hub.snapshot_of_posts() == before

    try:
        live()
    finally:
        store.close()
