"""A puller over a real store, with the hashing embedder and a clock that stands still."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pytest

from recall_daemon.backlog import Backlog
from recall_daemon.embed.hashing import HashEmbedder
from recall_daemon.memory.posts import Posts
from recall_daemon.pull import known
from recall_daemon.pull.embedding import Embedding
from recall_daemon.pull.instances import Instances, InstanceSetting
from recall_daemon.pull.sync import Pull
from recall_daemon.store import audit, audit_log
from recall_daemon.store.store import Store


@dataclass
class Puller:
    store: Store
    configured: list[InstanceSetting] = field(default_factory=list)
    token: str | None = None
    environment: dict[str, str] = field(default_factory=dict)
    timeout_s: float = 10.0
    now: datetime = datetime(2026, 1, 2, 12, tzinfo=UTC)
    followed: list[int] = field(default_factory=list)

    @property
    def pull(self) -> Pull:
        """A new one each time, as a new process has: what it knows is in the store."""
        embedder = HashEmbedder()
        return Pull(
            self.store,
            Posts(
                self.store,
                check_disk=lambda: None,
                on_merged=lambda: None,
                now=lambda: self.now,
            ),
            Instances(self.configured, self.token, environment=self.environment),
            embedding=Embedding(
                self.store,
                Backlog(self.store, on_embedded=lambda: None),
                lambda: embedder,
                space_id=lambda: embedder.space.space_id,
                follow=lambda: self.followed.append(1),
            ),
            now=lambda: self.now,
            timeout_s=self.timeout_s,
        )

    async def __call__(self, *urls: str, **options: Any) -> dict[str, Any]:
        return await self.pull.sync_all_instances(list(urls), **options)

    def rows(self) -> dict[tuple[str, str], str]:
        with self.store.read() as connection:
            found = connection.execute(
                "SELECT system_id, memory_id, text FROM memories WHERE state = 'live'"
            ).fetchall()
        return {(system_id, memory_id): text for system_id, memory_id, text in found}

    def changes(self) -> int:
        with self.store.read() as connection:
            return int(connection.execute("SELECT count(*) FROM journal").fetchall()[0][0])

    def known(self, url: str) -> known.Known:
        with self.store.read() as connection:
            return known.read(connection, url)

    def problems(self) -> list[str]:
        with self.store.read() as connection:
            return [*audit.problems(connection), *audit_log.problems(connection)]


@pytest.fixture
def puller(store: Store) -> Callable[..., Puller]:
    def make(**changes: Any) -> Puller:
        return Puller(store, **changes)

    return make
