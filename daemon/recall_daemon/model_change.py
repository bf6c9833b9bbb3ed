"""Builds the space of a new model beside the one that serves, then has it serve; a job."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

from recall_daemon.backlog import Backlog
from recall_daemon.embed.base import Embedder
from recall_daemon.errors import ModelChangeHeld
from recall_daemon.jobs import Job, Progress
from recall_daemon.models import Models
from recall_daemon.store import spaces
from recall_daemon.store.spaces import Space
from recall_daemon.store.store import Connection, Store

Json = dict[str, Any]

KIND = "model"
LOOK_EVERY = timedelta(minutes=1)
# Deleting an old space's passages must not hold the writer for long.
DROP_PASSAGES = 20_000


class ModelChange:
    """Every step is derived from the store: whatever stops it, the next run goes on from there.

    `adopt` has the index take over a space's vectors; `drop_export` removes what the data folder
    holds of weights, by their revision.
    """

    def __init__(
        self,
        store: Store,
        models: Models,
        backlog: Backlog,
        adopt: Callable[[str], None],
        drop_export: Callable[[str], None],
    ) -> None:
        self._store = store
        self._models = models
        self._backlog = backlog
        self._adopt = adopt
        self._drop_export = drop_export

    @property
    def job(self) -> Job:
        return Job(KIND, LOOK_EVERY, self.run, self.is_needed)

    def is_needed(self) -> bool:
        """Whether a space is to be built, or passages of a dropped one are left. Blocking."""
        if self._models.building() is not None:
            return True
        with self._store.read() as connection:
            return bool(spaces.unlisted(connection))

    def run(self, progress: Progress) -> None:
        """Build, switch, drop. Blocking. Raises `ModelChangeHeld` where texts cannot be had now."""
        embedder = self._models.building()
        if embedder is not None:
            self._build(embedder, progress)
        self._drop(progress)

    def _build(self, embedder: Embedder, progress: Progress) -> None:
        space_id = embedder.space.space_id

        def look() -> bool:
            """Tells how far it is before each part; raises where the hub stops."""
            with self._store.read() as connection:
                done = spaces.texts_done(connection, space_id)
            progress.update(done, detail=f"building {space_id}")
            return self._models.building() is not embedder

        while True:
            waiting = self._backlog.size(space_id)
            with self._store.read() as connection:
                done = spaces.texts_done(connection, space_id)
            progress.update(done, done + waiting, f"building {space_id}")
            self._backlog.drain(embedder, stop=look)
            if self._models.building() is not embedder:
                return  # the settings' model is another one by now
            if self._models.take_over(
                embedder, besides=self._backlog.hopeless(space_id), adopt=self._adopt
            ):
                return
            left = self._backlog.size(space_id)
            if left and not self._backlog.drain(embedder, stop=look):
                raise ModelChangeHeld(
                    f"{left} texts could not be embedded yet: their cold files cannot be read",
                    hint="the old model serves on; the next run tries again",
                )

    def _drop(self, progress: Progress) -> None:
        """The export first: once no passage is left, nothing says any more that there is one."""
        with self._store.read() as connection:
            revisions = spaces.unlisted_revisions(connection)
        for revision in revisions:
            self._drop_export(revision)
        dropped = 0
        while count := self._store.write(
            lambda connection: spaces.drop_unlisted(connection, DROP_PASSAGES)
        ):
            dropped += count
            progress.update(dropped, dropped, "dropping what is left of the old model")


def state(connection: Connection) -> Json:
    """`{serving, building}`: each `{space_id, since, done, total}` or None. Texts are counted."""
    listed = spaces.listed(connection)
    total = spaces.texts(connection)
    return {
        "serving": _space(connection, listed.get("serving"), total),
        "building": _space(connection, listed.get("building"), total),
    }


def _space(connection: Connection, space: Space | None, total: int) -> Json | None:
    if space is None:
        return None
    return {
        "space_id": space.space_id,
        "since": space.since.isoformat(),
        "done": spaces.texts_done(connection, space.space_id),
        "total": total,
    }
