"""Where each system stands, derived from the ledger alone."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

from recall_daemon.store import ledger
from recall_daemon.store.ledger import Entry, Gap, Place, State
from recall_daemon.store.store import Store

NOW = datetime(2026, 1, 2, tzinfo=UTC)


def put(store: Store, seq: int, state: State = "merged", sub: int = 0, **more: object) -> Entry:
    entry = Entry(Place("a", seq, sub), "bucket", f"key{seq}", state, NOW)
    entry = replace(entry, **more)  # type: ignore[arg-type]
    store.write(lambda connection: ledger.see_system(connection, "a", NOW))
    store.write(lambda connection: ledger.record(connection, entry))
    return entry


def test_an_entry_is_read_back_whole(store: Store) -> None:
    entry = put(
        store, 3, "quarantined", etag="e", kind="delta", manifest_sha256="f" * 64, rows=1,
        deletes=2, bytes=3, rows_done=4, reason="why", created_at=NOW, settled_at=NOW,
    )  # fmt: skip

    with store.read() as connection:
        assert ledger.find(connection, entry.place) == entry
        assert ledger.entries(connection, "quarantined") == [entry]
        assert ledger.entries(connection, "quarantined", system_id="b") == []
        assert ledger.find(connection, Place("a", 4)) is None


def test_complete_means_merged_without_a_hole(store: Store) -> None:
    for seq, state in ((1, "merged"), (2, "dropped"), (3, "merged"), (5, "merged")):
        put(store, seq, state)  # type: ignore[arg-type]
    with store.read() as connection:
        assert ledger.complete_to(connection) == {"a": 3}

    put(store, 4, "quarantined")
    with store.read() as connection:
        assert ledger.complete_to(connection) == {"a": 3}

    put(store, 4, "merged")
    with store.read() as connection:
        assert ledger.complete_to(connection) == {"a": 5}


def test_gaps_are_ranges_below_a_known_snapshot(store: Store) -> None:
    put(store, 3)
    put(store, 4, "quarantined")
    put(store, 9, "waiting")
    with store.read() as connection:
        assert ledger.gaps(connection) == [Gap("a", 1, 2, NOW), Gap("a", 5, 8, NOW)]


def test_a_head_above_every_snapshot_shows_what_is_missing(store: Store) -> None:
    put(store, 1)
    store.write(lambda c: ledger.update_system(c, "a", head_seq=4, head_changed_at=NOW))
    with store.read() as connection:
        assert ledger.gaps(connection) == [Gap("a", 2, 4, NOW)]


def test_a_refused_number_makes_no_gap_and_no_place(store: Store) -> None:
    put(store, 1)
    put(store, 999_999_999_999, "refused")
    put(store, 999_999_999_998, "ignored")
    with store.read() as connection:
        assert ledger.gaps(connection) == []
        assert ledger.highest_settled(connection, "a") == 1
        assert ledger.complete_to(connection) == {"a": 1}


def test_what_has_no_number_takes_a_place_after_the_highest_merged(store: Store) -> None:
    put(store, 2)
    put(store, 7, "quarantined")
    with store.read() as connection:
        first = ledger.next_sub(connection, "a")
    put(store, first.seq, sub=first.sub)
    with store.read() as connection:
        second = ledger.next_sub(connection, "a")
        assert ledger.next_sub(connection, "new") == Place("new", 0, 1)
    assert (first, second) == (Place("a", 2, 1), Place("a", 2, 2))


def test_the_newest_entry_of_a_bare_object_counts(store: Store) -> None:
    put(store, 2, sub=1, origin="bare", locator="x.duckdb", etag="old")
    newest = put(store, 2, sub=2, origin="bare", locator="x.duckdb", etag="new")
    with store.read() as connection:
        assert ledger.newest_bare(connection) == {"x.duckdb": newest}
