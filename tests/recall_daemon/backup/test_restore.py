"""An empty folder is made whole again, all of it or nothing; what is forgotten stays forgotten."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from recall_daemon.backup import restore
from recall_daemon.backup.log_objects import encode
from recall_daemon.backup.manifest import parse_backup
from recall_daemon.backup.owner import take_over
from recall_daemon.errors import BackupDamaged, HubClash, RestoreRefused, StoreTooNew
from recall_daemon.store import jobs, journal, leasing, locks, memories
from recall_daemon.store.forget import forget_rows
from recall_daemon.store.journal import JournalEntry
from recall_wire import layout
from recall_wire.errors import RecallError

HUB = "0123456789ab"


def marker_key(backup_id: str) -> str:
    return layout.backup_key(HUB, backup_id, layout.BACKUP_MANIFEST)


def story(keeper: Any) -> str:
    """A backup, and forgets before and after it; the logical hash at the end."""
    keeper.merge(1, "one", "two")
    keeper.forget("m1-0")
    keeper.backup()
    keeper.clock[0] += timedelta(hours=1)
    keeper.forget("m1-1", "never-seen")
    keeper.forget("n", system_id="unknown")
    keeper.archive().log.ship_now()
    return str(keeper.logical_hash())


def test_backup_and_log_give_the_same_hash(keeper: Any, restored: Any) -> None:
    wanted = story(keeper)
    with restored(keeper.bucket, "new") as (prepared, found):
        assert found.logical_hash() == wanted
        assert (prepared.log_entries, prepared.could_be_missing) == (2, [])
        # What was not restored cannot come back, and what is new comes after the log.
        found.merge(9, "two again", "x")
        found.merge(10, "never seen")
        assert found.forget("m9-1") == 4
        found.archive().log.ship_now()
    with restored(keeper.bucket, "again") as (prepared, _):
        assert prepared.log_entries == 3


def test_leases_end_with_a_restore_and_their_fences_stay(keeper: Any, restored: Any) -> None:
    name, now = ("a", "m1-0"), keeper.clock[0]
    claim = leasing.Claim(name, "holder", timedelta(days=9999), now)
    lock = keeper.store.write(lambda connection: leasing.acquire(connection, claim, now)).lock
    story(keeper)
    with restored(keeper.bucket, "new") as (_, found), found.store.read() as connection:
        kept = locks.find_all(connection, [name])[name]
        assert (kept.fence, kept.holder) == (lock.fence, None)


def test_a_forgotten_memory_stays_forgotten_after_a_restore(
    open_keeper: Any, restored: Any, rows: Any
) -> None:
    with open_keeper() as keeper:
        story(keeper)
        with restored(keeper.bucket, "new") as (_, found):
            wanted = found.logical_hash()
            found.merge(1, "one", "two")
            assert found.logical_hash() == wanted


def test_entries_that_were_in_the_backup_and_not_shipped_are_shipped_later(
    open_keeper: Any, restored: Any
) -> None:
    with open_keeper() as keeper:
        story(keeper)
        for key in keeper.keys(layout.log_prefix(HUB)):
            keeper.bucket.delete(key)
        with restored(keeper.bucket, "new") as (prepared, found):
            assert prepared.log_entries == 0
            with found.store.read() as connection:
                assert (journal.last(connection), journal.shipped(connection)) == (1, 1)


def test_going_back_takes_the_backup_of_then_and_keeps_forgets(
    open_keeper: Any, restored: Any
) -> None:
    with open_keeper() as keeper:
        keeper.merge(1, "one", "two")
        first = keeper.backup()
        then = keeper.clock[0] + timedelta(minutes=1)
        keeper.clock[0] += timedelta(days=1)
        keeper.merge(2, "later")
        keeper.forget("m1-0")
        keeper.backup()
        with restored(keeper.bucket, "new", to=then) as (prepared, found):
            assert prepared.backup == first
            with found.store.read() as connection:
                rows = connection.execute("SELECT memory_id, state FROM memories").fetchall()
            assert sorted(rows) == [("m1-0", "forgotten"), ("m1-1", "live")]
            assert "forgetting is final" in prepared.could_be_missing[0]
        with restored(keeper.bucket, "earlier", to=then - timedelta(days=9)) as (prepared, found):
            assert prepared.backup is None
            assert found.keys()


def test_without_a_backup_the_log_alone_is_replayed(open_keeper: Any, restored: Any) -> None:
    with open_keeper() as keeper:
        keeper.forget("x", "y")
        keeper.archive().log.ship_now()
        wanted = keeper.logical_hash()
        with restored(keeper.bucket, "new") as (prepared, found):
            assert (prepared.backup, prepared.log_entries) == (None, 1)
            assert found.logical_hash() == wanted


def test_a_log_with_holes_and_unknown_kinds_is_told(open_keeper: Any, restored: Any) -> None:
    with open_keeper() as keeper:
        keeper.forget("x")
        keeper.archive().log.ship_now()
        keeper.bucket.put(
            layout.log_key(HUB, 5), encode(HUB, [JournalEntry(5, keeper.clock[0], "dance", {})])
        )
        with restored(keeper.bucket, "new") as (prepared, found):
            assert prepared.log_entries == 1
            assert prepared.could_be_missing == [
                "the log lacks entries 2 to 4",
                "1 log entries of kind 'dance', which this recalld does not know",
            ]
            assert found.forget("y") == 6


def test_the_restored_hub_takes_over_and_the_old_one_is_told(
    open_keeper: Any, restored: Any
) -> None:
    with open_keeper() as old:
        story(old)
        with restored(old.bucket, "new") as (_, found):
            found.forget("z")
            found.archive().log.ship_now()
            old.forget("w")
            for refused in (old.archive().log.ship_now, old.backup):
                with pytest.raises(HubClash, match="names another data folder"):
                    refused()
            found.backup()


def test_what_the_old_hub_did_until_it_was_replaced_is_taken_in(
    open_keeper: Any, restored: Any
) -> None:
    with open_keeper() as old:
        story(old)
        old.merge(9, "acknowledged late")
        old.backup()
        with restored(old.bucket, "new") as (_, found):
            late = old.forget("m9-0")
            old.archive().log.ship_now()
            take_over(found.bucket, found.store)
            assert found.forget("z") == late + 1
            found.archive().log.ship_now()
            take_over(found.bucket, found.store)
            with pytest.raises(HubClash):
                old.backup()
            with found.store.read() as connection:
                assert memories.find_ids(connection, ["m9-0"]) == []


def test_a_copy_runs_nothing(open_keeper: Any, restored: Any) -> None:
    with open_keeper() as old:
        old.store.write(lambda c: jobs.begin(c, "backup", old.clock[0]))
        old.merge(1, "one")
        old.backup()
        with restored(old.bucket, "new") as (_, found), found.store.read() as connection:
            assert jobs.latest(connection) == {}


def test_a_folder_with_something_in_it_is_refused(open_keeper: Any, tmp_path: Path) -> None:
    with open_keeper() as keeper:
        story(keeper)
        for name in ("store.duckdb", "index", "pushed"):
            folder = tmp_path / f"data-{name}"
            folder.mkdir()
            (folder / name).write_bytes(b"")
            with pytest.raises(RestoreRefused, match="is not empty"):
                restore.prepare(keeper.bucket, folder, hub_id=HUB, to=None, memory_bytes=1 << 28)
            assert [path.name for path in folder.iterdir()] == [name]


@pytest.mark.parametrize("damage", ["other bytes", "cut", "too long", "gone"])
def test_a_damaged_backup_is_refused_and_nothing_is_left(
    open_keeper: Any, restored: Any, tmp_path: Path, damage: str
) -> None:
    with open_keeper() as keeper:
        story(keeper)
        key = next(k for k in keeper.keys(layout.backups_prefix(HUB)) if k.endswith(".zst"))
        data = keeper.bucket.get(key, max_bytes=1 << 30)
        worse = {
            "other bytes": data[:100] + b"\0" + data[101:],
            "cut": data[:-10],
            "too long": data + b"x",
        }
        if damage == "gone":
            keeper.bucket.delete(key)
        else:
            keeper.bucket.put(key, worse[damage])
        with (
            pytest.raises(BackupDamaged, match="--to a time before"),
            restored(keeper.bucket, "new"),
        ):
            pass
        assert list((tmp_path / "new").iterdir()) == []


def test_a_newer_store_is_refused(open_keeper: Any, restored: Any) -> None:
    with open_keeper() as keeper:
        backup_id = keeper.backup()
        data = keeper.bucket.get(marker_key(backup_id), max_bytes=1 << 20)
        manifest = parse_backup(data, backup_id)
        newer = manifest.model_copy(update={"schema_version": manifest.schema_version + 1})
        keeper.bucket.put(marker_key(backup_id), newer.model_dump_json().encode())
        with pytest.raises(StoreTooNew), restored(keeper.bucket, "new"):
            pass


@pytest.mark.parametrize("lost", [False, True], ids=["failed", "answer lost"])
def test_any_call_may_fail_and_the_next_run_starts_over(
    open_keeper: Any, restored: Any, faulty: Any, tmp_path: Path, lost: bool
) -> None:
    with open_keeper() as keeper:
        wanted = story(keeper)
        calm = faulty(keeper.bucket)
        with restored(calm, "calm") as (_, found):
            assert found.logical_hash() == wanted
        assert len(calm.calls) >= 5
        for fail_at in range(1, len(calm.calls) + 1):
            name = f"new{fail_at}"
            bucket = faulty(keeper.bucket, fail_at=fail_at, lost=lost)
            with pytest.raises(RecallError), restored(bucket, name):
                pass
            assert list((tmp_path / name).iterdir()) == []
            with restored(keeper.bucket, name) as (_, found):
                assert found.logical_hash() == wanted


def test_which_hub(open_keeper: Any) -> None:
    with open_keeper() as keeper:
        bucket = keeper.bucket
        assert restore.choose_hub(bucket, None) is None
        with pytest.raises(RestoreRefused, match="it has none"):
            restore.choose_hub(bucket, HUB)
        bucket.put(f"hub/{HUB}/owner", b"{}")
        bucket.put("hub/readme", b"not ours")
        assert restore.choose_hub(bucket, None) == HUB
        bucket.put("hub/other/owner", b"{}")
        with pytest.raises(RestoreRefused, match=f"{HUB}, other"):
            restore.choose_hub(bucket, None)
        assert restore.choose_hub(bucket, "other") == "other"


def test_an_entry_that_is_applied_twice_leaves_one_line_in_the_ledger(open_keeper: Any) -> None:
    with open_keeper() as keeper:
        keeper.merge(1, "one")
        keeper.forget("m1-0")
        now = keeper.clock[0]
        assert (
            keeper.store.write(lambda c: forget_rows(c, [("a", "m1-0"), ("b", "x")], 1, now)) == 1
        )
        with keeper.store.read() as connection:
            lines = connection.execute(
                "SELECT system_id, seq, sub FROM snapshots WHERE origin = 'journal' ORDER BY ALL"
            ).fetchall()
        assert lines == [("a", 1, 1), ("b", 0, 1)]


def test_a_damaged_manifest_hides_no_older_backup(open_keeper: Any, restored: Any) -> None:
    with open_keeper() as keeper:
        keeper.merge(1, "one")
        first = keeper.backup()
        wanted = keeper.logical_hash()
        keeper.clock[0] += timedelta(days=1)
        keeper.merge(2, "two")
        keeper.bucket.put(marker_key(keeper.backup()), b"{")
        with pytest.raises(BackupDamaged, match="restore --to a time before"):
            restored(keeper.bucket, "new").__enter__()
        then = keeper.clock[0] - timedelta(hours=1)
        with restored(keeper.bucket, "older", to=then) as (prepared, found):
            assert prepared.backup == first
            assert found.logical_hash() == wanted


def test_a_time_before_the_first_backup_is_told(open_keeper: Any, restored: Any) -> None:
    with open_keeper() as keeper:
        keeper.merge(1, "one")
        long_ago = keeper.clock[0] - timedelta(days=9)
        with restored(keeper.bucket, "none", to=long_ago) as (prepared, _):
            assert "there is none" in prepared.could_be_missing[0]
        keeper.backup()
        keeper.clock[0] += timedelta(days=1)
        keeper.backup()
        with restored(keeper.bucket, "earlier", to=long_ago) as (prepared, _):
            assert prepared.could_be_missing == [
                "no backup was made before 2026-02-21T12:00:00Z, the oldest is of "
                "2026-03-02T12:00:01Z: the snapshots of then that are still in the bucket are all "
                "there is"
            ]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"hub_id": "other"}, "is of another hub, 'other'"),
        ({"store_bytes": 4096}, "unpacks to more, not to the 4096 bytes told"),
        ({"store_bytes": 1 << 30}, "not to the 1073741824 bytes told"),
    ],
)
def test_a_manifest_that_says_what_is_not_so_is_refused(
    open_keeper: Any, restored: Any, tmp_path: Path, change: dict[str, Any], says: str
) -> None:
    with open_keeper() as keeper:
        keeper.merge(1, "one")
        backup_id = keeper.backup()
        told = parse_backup(keeper.bucket.get(marker_key(backup_id), max_bytes=1 << 20), backup_id)
        wrong = told.model_copy(update=change).model_dump_json().encode()
        keeper.bucket.put(marker_key(backup_id), wrong)
        with pytest.raises(BackupDamaged, match=says), restored(keeper.bucket, "new"):
            pass
        assert list((tmp_path / "new").iterdir()) == []
