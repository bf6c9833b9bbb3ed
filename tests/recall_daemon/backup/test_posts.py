"""Posts come back with a restore: from a backup, and from the log after it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from recall_daemon.store import posts
from recall_wire.records import Record


def post(keeper: Any, *records: Record) -> None:
    now = keeper.clock[0]
    keeper.store.write(lambda c: posts.post_all(c, {"a": records, "b": records[:1]}, now))


def test_posts_in_the_backup_and_after_it_give_the_same_hash(keeper: Any, restored: Any) -> None:
    keeper.merge(1, "one", "two")
    post(keeper, Record("m1-0", text="posted over a snapshot"), Record("p", text="kept"))
    keeper.backup()
    keeper.clock[0] += timedelta(hours=1)
    post(keeper, Record("p", text="posted after the backup", tags=("t",)), Record("q", text="gone"))
    keeper.forget("q")
    post(keeper, Record("q", text="too late"), Record("r", text="é🚀", metadata='{"a":1}'))
    keeper.archive().log.ship_now()
    wanted = keeper.logical_hash()

    with restored(keeper.bucket, "new") as (_, found):
        assert found.logical_hash() == wanted
        # The run of posts goes on where it was.
        for one in (keeper, found):
            post(one, Record("s", text="after all of it"))
        assert found.logical_hash() == keeper.logical_hash()
