"""The journal reaches the bucket in order, once, and two hubs with one id cannot both write it."""

from __future__ import annotations

from typing import Any

import pytest

from recall_daemon.backup.log_objects import decode, encode, read_log
from recall_daemon.errors import HubClash, LogDamaged, LogNotShipped
from recall_daemon.jobs import Progress
from recall_daemon.store import journal, ledger
from recall_wire import layout

HUB = "0123456789ab"


def numbers(keeper: Any, after: int = 0) -> list[int]:
    return [entry.entry_no for entry in read_log(keeper.bucket, HUB, after=after).entries]


def test_entries_are_shipped_in_order_and_once(keeper: Any) -> None:
    archive = keeper.archive()
    assert not archive.log.is_needed()
    keeper.forget("x")
    keeper.forget("y", "z")
    assert archive.log.is_needed()
    archive.log.ship_now()
    assert numbers(keeper) == [1, 2]
    assert not archive.log.is_needed()
    keeper.forget("w")
    archive.log.run(Progress())
    assert keeper.keys(layout.log_prefix(HUB)) == [layout.log_key(HUB, 1), layout.log_key(HUB, 3)]
    assert numbers(keeper) == [1, 2, 3]
    assert numbers(keeper, after=1) == [2, 3]
    assert numbers(keeper, after=3) == []
    body = read_log(keeper.bucket, HUB, after=1).entries[0].body
    assert body == {"identities": [["a", "y"], ["a", "z"]]}


@pytest.mark.parametrize("lost", [False, True], ids=["failed", "answer lost"])
def test_any_call_may_fail_once(open_keeper: Any, faulty: Any, lost: bool) -> None:
    for fail_at in range(1, 10):
        with open_keeper(f"k{fail_at}{lost}") as keeper:
            keeper.bucket.delete(layout.owner_key(HUB))
            for key in keeper.keys(layout.log_prefix(HUB)):
                keeper.bucket.delete(key)
            keeper.forget("x")
            bucket = faulty(keeper.bucket, fail_at=fail_at, lost=lost)
            log = keeper.archive(bucket).log
            # A look for an absent owner fails by itself: there is no answer to lose.
            if fail_at in (2, 3) or (fail_at == 1 and not lost):
                with pytest.raises(LogNotShipped, match="is done in this hub"):
                    log.ship_now()
            # More is done before it is tried again: the object that is there is its own in part.
            keeper.forget("y")
            log.ship_now()
            assert numbers(keeper) == [1, 2]
            assert not log.is_needed()
    assert len(bucket.calls) < fail_at


def test_a_copied_data_folder_cannot_ship_over_the_other_one(open_keeper: Any) -> None:
    with open_keeper("one") as one, open_keeper("two") as two:
        one.forget("x")
        one.archive().log.ship_now()
        holder = one.store.write(lambda connection: ledger.fact(connection, "holder"))
        two.store.write(lambda connection: ledger.set_fact(connection, "holder", holder))
        two.forget("other")
        with pytest.raises(HubClash, match="holds other entries"):
            two.archive().log.ship_now()
        assert numbers(one) == [1]


def test_a_second_data_folder_is_told(open_keeper: Any) -> None:
    with open_keeper("one") as one, open_keeper("two") as two:
        one.forget("x")
        one.archive().log.ship_now()
        two.forget("y")
        with pytest.raises(HubClash, match="another data folder"):
            two.archive().log.ship_now()
        with pytest.raises(HubClash):
            two.backup()


def test_a_damaged_or_missing_object_is_told_and_the_rest_is_read(open_keeper: Any) -> None:
    with open_keeper() as keeper:
        for name in ("x", "y", "z"):
            keeper.forget(name)
            keeper.archive().log.ship_now()
        keeper.bucket.put(layout.log_prefix(HUB) + "notes.txt", b"not ours")
        keeper.bucket.put(layout.log_key(HUB, 2), b"not zstd")
        read = read_log(keeper.bucket, HUB, after=0)
        assert [entry.entry_no for entry in read.entries] == [1, 3]
        assert len(read.problems) == 2
        assert "cannot be read" in read.problems[0]
        assert read.problems[1] == "the log lacks entries 2 to 2"


def test_a_changed_entry_is_noticed(open_keeper: Any) -> None:
    with open_keeper() as keeper:
        keeper.forget("x")
        with keeper.store.read() as connection:
            entries = journal.unshipped(connection, 10, 1 << 20)
    data = encode(HUB, entries)
    assert decode(data, "k") == entries
    entries[0].body["identities"] = []
    with pytest.raises(LogDamaged):
        decode(data[:-9], "k")


def test_shipped_entries_are_pruned_and_others_are_not(open_keeper: Any) -> None:
    with open_keeper() as keeper:
        keeper.forget("x")
        keeper.archive().log.ship_now()
        keeper.forget("y")
        keeper.store.write(lambda connection: journal.prune(connection, 2))
        with keeper.store.read() as connection:
            left = connection.execute("SELECT entry_no FROM journal").fetchall()
        assert left == [(2,)]


def test_a_transaction_that_fails_leaves_no_entry_and_no_hole(open_keeper: Any) -> None:
    with open_keeper() as keeper:

        def fails(connection: Any) -> None:
            journal.append(connection, "forget", {}, keeper.clock[0])
            raise ValueError("changed my mind")

        with pytest.raises(ValueError, match="changed"):
            keeper.store.write(fails)
        assert keeper.forget("x") == 1


def test_the_log_is_let_go_of_up_to_what_a_backup_has(keeper: Any) -> None:
    log = keeper.archive().log
    for name in "vwxyz":
        keeper.forget(name)
        log.ship_now()
    log.let_go(2)
    assert numbers(keeper) == [3, 4, 5]
    log.let_go(2)
    log.let_go(99)  # the newest object stays: the next one's number follows from it
    assert numbers(keeper) == [5]
    keeper.forget("u")
    log.ship_now()
    assert numbers(keeper, after=4) == [5, 6]
