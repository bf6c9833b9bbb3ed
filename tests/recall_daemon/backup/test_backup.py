"""A backup counts when its marker is there: consistent, without what was deleted, kept."""

from __future__ import annotations

import random
import threading
from datetime import timedelta
from typing import Any

import duckdb
import pytest

from recall_daemon.backup.backup import unpack
from recall_daemon.backup.manifest import parse_backup
from recall_daemon.backup.shelf import Shelf
from recall_daemon.errors import BackupDamaged, BackupRunning, StoreTooNew
from recall_daemon.jobs import Progress
from recall_wire import layout
from recall_wire.errors import RecallError

HUB = "0123456789ab"


def store_key(backup_id: str) -> str:
    return layout.backup_key(HUB, backup_id, layout.BACKUP_STORE)


def marker_key(backup_id: str) -> str:
    return layout.backup_key(HUB, backup_id, layout.BACKUP_MANIFEST)


def test_a_backup_says_what_is_in_it(keeper: Any) -> None:
    keeper.merge(1, "one")
    keeper.merge(2, "two", "three")
    keeper.merge(5, "five")
    keeper.forget("m2-0")
    backup_id = keeper.backup()
    manifest = Shelf(keeper.bucket, HUB).read(backup_id)
    assert (manifest.hub_id, manifest.rows, manifest.journal_no) == (HUB, 3, 1)
    assert manifest.logical_hash == keeper.logical_hash()
    assert manifest.systems["a"].merged == [(1, 2), (5, 5)]
    assert [manifest.systems["a"].has(seq) for seq in (2, 3, 5)] == [True, False, True]
    assert keeper.bucket.head(store_key(backup_id)).bytes == manifest.bytes
    assert not (keeper.store.path.parent / "backup").exists()


def test_what_was_deleted_is_not_in_the_copy(open_keeper: Any, tmp_path: Any) -> None:
    secret = "".join(random.Random(1).choices("abcdefghijk", k=4000))
    with open_keeper() as keeper:
        keeper.merge(1, secret, "kept")
        keeper.forget("m1-0")
        backup_id = keeper.backup()
        packed, plain = tmp_path / "s.zst", tmp_path / "s.duckdb"
        keeper.bucket.download(store_key(backup_id), packed, max_bytes=1 << 30)
        [manifest] = keeper.archive().backups.manifests()
    unpack(packed, plain, bytes_=manifest.store_bytes)
    assert secret[:200].encode() not in plain.read_bytes()
    with duckdb.connect(":memory:") as connection:
        connection.execute(f"ATTACH '{plain}' AS copy (READ_ONLY)")
        rows = connection.execute("SELECT memory_id, text FROM copy.memories").fetchall()
    assert sorted(rows) == [("m1-0", None), ("m1-1", "kept")]


def test_it_is_consistent_while_rows_are_merged(open_keeper: Any) -> None:
    with open_keeper() as keeper:
        keeper.merge(1, *(f"text {n}" for n in range(5000)))
        stop, seqs = threading.Event(), iter(range(2, 10_000))

        def writer() -> None:
            while not stop.is_set():
                keeper.merge(next(seqs), "a", "b", "c")

        thread = threading.Thread(target=writer)
        thread.start()
        try:
            for _ in range(3):
                keeper.backup()
        finally:
            stop.set()
            thread.join()
        for manifest in keeper.archive().backups.manifests():
            # Snapshot 1 has 5,000 rows and each other one three: all of it or nothing.
            assert manifest.rows == 5000 + 3 * (manifest.systems["a"].highest - 1)


@pytest.mark.parametrize("lost", [False, True], ids=["failed", "answer lost"])
def test_any_call_may_fail_once_and_no_half_backup_counts(
    open_keeper: Any, faulty: Any, lost: bool
) -> None:
    with open_keeper() as keeper:
        keeper.merge(1, "one")
        keeper.backup()
        calm = faulty(keeper.bucket)
        keeper.backup(calm)
        for fail_at in range(1, len(calm.calls) + 1):
            before = len(Shelf(keeper.bucket, HUB).whole())
            bucket = faulty(keeper.bucket, fail_at=fail_at, lost=lost)
            failed = False
            try:
                keeper.backup(bucket)
            except RecallError:
                failed = True
            for backup_id in Shelf(keeper.bucket, HUB).whole():
                manifest = Shelf(keeper.bucket, HUB).read(backup_id)
                assert keeper.bucket.head(store_key(backup_id)).bytes == manifest.bytes
            assert failed or len(bucket.calls) >= fail_at
            keeper.backup()
            # The next run leaves whole backups alone, and nothing else.
            found = keeper.keys(layout.backups_prefix(HUB))
            whole = Shelf(keeper.bucket, HUB).whole()
            assert sorted(found) == sorted(key(i) for i in whole for key in (marker_key, store_key))
            assert 1 <= len(whole) <= before + 2


def test_what_was_cut_off_is_cleaned_and_foreign_objects_stay(keeper: Any) -> None:
    keeper.merge(1, "one")
    first = keeper.backup()
    left = f"{first[:15]}Z-{'0' * 16}"
    pending = store_key(f"{first[:15]}Z-{'1' * 16}")
    keeper.bucket.put(store_key(left), b"half")
    keeper.bucket.create_multipart(pending)
    foreign = [f"hub/{HUB}/backups/notes.txt", f"hub/{HUB}/backups/mine/store.duckdb.zst", "hub/x"]
    for key in foreign:
        keeper.bucket.put(key, b"not ours")
    keeper.clock[0] += timedelta(days=40)
    keeper.backup()
    keys = keeper.keys("hub/")
    assert store_key(left) not in keys
    assert set(foreign) <= set(keys)
    assert keeper.bucket.list_multipart(layout.backups_prefix(HUB)) == ()


def test_a_large_copy_goes_up_in_parts(open_keeper: Any, s3_bucket: Any, faulty: Any) -> None:
    noise = random.Random(3)
    with open_keeper("large", bucket=s3_bucket) as keeper:
        keeper.merge(1, *(noise.randbytes(6000).hex() for _ in range(1500)))
        bucket = faulty(s3_bucket)
        backup_id = keeper.backup(bucket)
        assert bucket.calls.count("upload_part") >= 2
        assert Shelf(keeper.bucket, HUB).read(backup_id).bytes > 5 << 20


def test_retention_keeps_days_and_weeks(open_keeper: Any) -> None:
    with open_keeper(backup_keep_daily=2, backup_keep_weekly=2) as keeper:
        keeper.merge(1, "one")
        made = []
        for days in (0, 1, 1, 7, 8):  # two on one day; Monday again after seven days
            keeper.clock[0] = keeper.clock[0].replace(day=2) + timedelta(days=days)
            keeper.clock[0] += timedelta(minutes=len(made))
            made.append(keeper.backup())
        whole = Shelf(keeper.bucket, HUB).whole()
        # Both days of the second week, and the newest of the first one.
        assert whole == [made[4], made[3], made[2]]


def test_the_newest_backup_stays_whatever_is_asked(open_keeper: Any) -> None:
    with open_keeper(backup_keep_daily=0, backup_keep_weekly=0) as keeper:
        keeper.merge(1, "one")
        keeper.backup()
        newest = keeper.backup()
        assert Shelf(keeper.bucket, HUB).whole() == [newest]


def cold(connection: Any, number: int, key: str) -> None:
    columns = connection.execute(
        "SELECT column_name FROM duckdb_columns() "
        "WHERE database_name = 'store' AND table_name = 'cold_files' ORDER BY column_index"
    ).fetchall()
    values: dict[str, Any] = {name: b"" for (name,) in columns}
    values |= {"file_no": number, "key": key, "sha256": "0" * 64, "bytes": 1, "rows": 1}
    values |= {"created_at": "2026-01-01", "retired_at": None}
    connection.execute(
        f"INSERT INTO cold_files VALUES ({', '.join('?' * len(values))})", list(values.values())
    )


def test_cold_files_are_named_as_long_as_a_backup_needs_them(open_keeper: Any) -> None:
    with open_keeper(backup_keep_daily=1, backup_keep_weekly=0) as keeper:
        backups = keeper.archive().backups
        assert backups.named_cold_keys() == set()
        keeper.store.write(lambda connection: cold(connection, 1, "hub/x/cold/1"))
        keeper.backup()
        keeper.store.write(
            lambda c: c.execute("UPDATE cold_files SET retired_at = '2026-01-02'").fetchall()
        )
        keeper.store.write(lambda connection: cold(connection, 2, "hub/x/cold/2"))
        assert backups.named_cold_keys() == {"hub/x/cold/1"}
        keeper.backup()
        assert backups.named_cold_keys() == {"hub/x/cold/2"}


def test_while_a_backup_is_made_nobody_is_told_what_may_go(open_keeper: Any) -> None:
    with open_keeper() as keeper:
        keeper.merge(1, "one")
        backups = keeper.archive().backups
        seen: list[BaseException] = []

        class Watching(Progress):
            def update(self, *arguments: Any, **options: Any) -> None:
                for ask in (backups.named_cold_keys, lambda: backups.run(Progress())):
                    with pytest.raises(BackupRunning) as raised:
                        ask()
                    seen.append(raised.value)

        backups.run(Watching())
        assert len(seen) >= 4
        assert backups.named_cold_keys() == set()


def test_stopping_ends_it_between_steps(open_keeper: Any) -> None:
    with open_keeper() as keeper:
        keeper.merge(1, "one")
        progress = Progress()
        progress.stop()
        with pytest.raises(RecallError, match="stopping"):
            keeper.archive().backups.run(progress)
        assert Shelf(keeper.bucket, HUB).whole() == []


def test_a_manifest_that_cannot_be_read_is_told(open_keeper: Any) -> None:
    with open_keeper() as keeper:
        keeper.merge(1, "one")
        backup_id = keeper.backup()
        data = keeper.bucket.get(marker_key(backup_id), max_bytes=1 << 20)
        assert parse_backup(data.replace(b'"rows"', b'"new_key": 1, "rows"'), backup_id).rows == 1
        with pytest.raises(StoreTooNew):
            parse_backup(
                data.replace(b'"version":1', b'"version":2').replace(
                    b'"version": 1', b'"version": 2'
                ),
                backup_id,
            )
        keeper.bucket.put(marker_key(backup_id), b"{")
        with pytest.raises(BackupDamaged):
            keeper.archive().backups.named_cold_keys()
