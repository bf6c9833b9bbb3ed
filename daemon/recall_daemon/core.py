"""The store and what is derived from it, built once: what every command needs."""

from __future__ import annotations

import contextlib
import shutil
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime

from threadpoolctl import threadpool_limits

from recall_daemon.access.tokens import Tokens
from recall_daemon.agents.config import Agents
from recall_daemon.agents.read_log import ReadLog
from recall_daemon.agents.shared import Parts as SharedParts
from recall_daemon.agents.shared import Shared, make_shared
from recall_daemon.agents.sight import Grants
from recall_daemon.disk import Disk
from recall_daemon.embed.choose import open_embedder
from recall_daemon.embed.lazy import DIM, LazyEmbedder
from recall_daemon.index.follower import Index
from recall_daemon.lock import FolderLock
from recall_daemon.memory.posts import Posts
from recall_daemon.memory.read import Memories
from recall_daemon.models import Models, remembered, reopener
from recall_daemon.operations import Operations
from recall_daemon.search.engine import Search
from recall_daemon.settings import HubSettings
from recall_daemon.store import ledger
from recall_daemon.store.memories import StoreFeed
from recall_daemon.store.store import Connection, Store
from recall_daemon.tiers.build import build_tiers
from recall_daemon.tiers.tiers import Tiers
from recall_daemon.verify import Verification
from recall_wire.errors import RecallError
from recall_wire.manifest import now_utc

Clock = Callable[[], datetime]


@dataclass(frozen=True)
class Core:
    """The store and what is derived from it: enough to search and to answer for the hub."""

    settings: HubSettings
    lock: FolderLock
    store: Store
    feed: StoreFeed
    index: Index
    embedder: Models
    operations: Operations
    memories: Memories
    search: Search
    tiers: Tiers
    tokens: Tokens
    agents: Agents
    grants: Grants
    disk: Disk
    now: Clock

    def follow(self) -> int:
        """Bring the index up to the store; returns the changes applied. Blocking."""
        return self.index.apply(self.feed)

    def begin(self) -> None:
        """Have the index read what it has, in a thread, while something else is loaded.

        `follow` waits for that, and meets again what failed.
        """
        threading.Thread(target=self._begin, name="index", daemon=True).start()

    def _begin(self) -> None:
        with contextlib.suppress(RecallError):
            self.follow()

    def fetch_words(self) -> int:
        """Give the index the words of cold rows that it lacks; returns how many rows. Blocking."""
        return self.index.fetch_words(self.feed)

    def adopt(self, space_id: str) -> None:
        """Have the index take over a space's vectors. Blocking."""
        self.index.adopt(StoreFeed(self.store, lambda: space_id))

    def posts(self, on_merged: Callable[[], None]) -> Posts:
        """To write memories by; `on_merged` is told after each commit."""
        return Posts(
            self.store,
            check_disk=self.disk.check,
            on_merged=on_merged,
            now=self.now,
            agents=self.agents,
        )

    def shared(self, posts: Posts, on_changed: Callable[[], None]) -> Shared:
        """Memories that agents share; `on_changed` is told after each commit that changes some."""
        return make_shared(
            SharedParts(
                store=self.store,
                posts=posts,
                far=self.tiers.texts,
                agents=self.agents,
                grants=self.grants,
                search=self.search,
                settings=self.settings,
                on_changed=on_changed,
                now=self.now,
            )
        )

    def purge_index(self) -> None:
        """Leave nothing in the index that is gone from the store. Blocking."""
        self.index.rebuild(self.feed)


# What a killed process left half done. It may hold texts that were forgotten since.
_LEFTOVERS = ("tmp", "spool", "spool-cold", "spool-forget", "backup", "restore")


@contextmanager
def open_core(settings: HubSettings, *, now: Clock = now_utc) -> Iterator[Core]:
    """Hold the data folder, open the store. Raises `StoreBusy` where another process has it."""
    lock = FolderLock(settings.data_dir)
    try:
        # Searches run side by side, one thread each: two of one search on two busy cores wait for
        # each other, 21 ms instead of 3 for the newest 20,000 vectors.
        threadpool_limits(1, user_api="blas")
        for name in _LEFTOVERS:
            shutil.rmtree(settings.data_dir / name, ignore_errors=True)
        store = Store(settings.data_dir, memory_limit_bytes=settings.store_memory_bytes)
        try:
            store.write(_name_hub)
            core = _core(settings, lock, store, now)
            try:
                yield core
            finally:
                core.index.close()
                core.tiers.close()
        finally:
            store.close()
    finally:
        lock.release()


def _core(settings: HubSettings, lock: FolderLock, store: Store, now: Clock) -> Core:
    index = Index(DIM, settings.data_dir / "index")
    embedder = _models(settings, store, now)
    tiers = build_tiers(settings, store, now=now, space_id=embedder.stored_space_id)
    feed = StoreFeed(store, embedder.stored_space_id, tiers.texts)
    agents = _agents(settings)
    grants = Grants(store, agents, now=now, note=ReadLog(store, now=now).note)
    tokens = Tokens(store, now=now, sight=grants.sight)
    disk = Disk(settings.data_dir, min_free_bytes=settings.min_free_bytes)
    memories = Memories(store, index, tiers.texts)
    search = Search(index, feed, embedder.embed_query, now=now)
    return Core(
        settings=settings,
        lock=lock,
        store=store,
        feed=feed,
        index=index,
        embedder=embedder,
        operations=Operations(
            store,
            search,
            space_id=embedder.space_id,
            now=now,
            verification=Verification(store, index, feed, tiers),
            tiers=tiers,
            tokens=tokens,
            memories=memories,
            posts=Posts(
                store,
                check_disk=disk.check,
                on_merged=lambda: None,
                now=now,
                agents=_agents(settings),
            ),
        ),
        memories=memories,
        search=search,
        tiers=tiers,
        tokens=tokens,
        agents=agents,
        grants=grants,
        disk=disk,
        now=now,
    )


def _agents(settings: HubSettings) -> Agents:
    return Agents(
        settings.agents,
        category_strategies=settings.category_strategies,
        strategy=settings.conflict_strategy,
        global_categories=settings.global_categories,
        system_edits=settings.system_edits,
    )


def _models(settings: HubSettings, store: Store, now: Clock) -> Models:
    wanted = LazyEmbedder(
        lambda: open_embedder(
            settings.embedder,
            data_dir=settings.data_dir,
            model_dir=settings.model_dir,
            threads=settings.embed_threads,
        )
    )
    return Models(
        store,
        wanted,
        model=remembered(settings.embedder, settings.model_dir),
        reopen=reopener(settings.data_dir, settings.embed_threads),
        now=now,
    )


def _name_hub(connection: Connection) -> None:
    if ledger.fact(connection, "hub_id") is None:
        ledger.set_fact(connection, "hub_id", uuid.uuid4().hex[:12])
    if ledger.fact(connection, ledger.STORE_ID) is None:
        ledger.set_fact(connection, ledger.STORE_ID, uuid.uuid4().hex)
