"""A restore brings tokens back, and no revocation is lost by it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from recall_daemon.access.tokens import Asked, Tokens
from recall_daemon.app import open_archive_bucket
from recall_daemon.backup import restore
from recall_daemon.store import ledger
from recall_daemon.store.store import Store


async def test_a_restore_keeps_tokens_and_their_revocation(
    open_test_hub: Any, tmp_path: Any
) -> None:
    """Also one to a time before it: revoking is final."""
    async with open_test_hub() as hub:
        core, archive = hub.hub.core, hub.hub.archive
        await hub.once()
        revoked, gone = core.tokens.create(Asked("admin"), actor="test")
        _, kept = core.tokens.create(Asked("reader", projects=("p",)), actor="test")
        before = hub.clock[0]
        archive.log.ship_now()
        hub.clock[0] += timedelta(hours=1)
        core.tokens.revoke(revoked.token_id, actor="test")
        archive.log.ship_now()
        with core.store.read() as connection:
            hub_id = ledger.fact(connection, "hub_id")
        settings, now = core.settings, hub.clock[0]

    bucket = open_archive_bucket(settings)
    for number, to in enumerate((None, before)):
        folder = tmp_path / f"restored-{number}"
        restore.prepare(bucket, folder, hub_id=hub_id, to=to, memory_bytes=1 << 28)
        store = Store(folder)
        tokens = Tokens(store, now=lambda: now)
        assert tokens.caller(gone) is None
        reader = tokens.caller(kept)
        assert reader is not None
        assert reader.reach.projects == {"p"}
        store.close()
    bucket.close()
