"""The model that serves, and the one that is to take its place.

`settings` name the model a hub shall have. Where the store's vectors are of another one, that one
serves on until every text has its passages in the new space; then the new one serves, and what is
left of the old space goes.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import get_args

import numpy as np
import structlog
from numpy.typing import NDArray

from recall_daemon.embed.base import Embedder
from recall_daemon.embed.choose import Choice, open_embedder
from recall_daemon.embed.errors import ModelMissing
from recall_daemon.embed.lazy import LazyEmbedder
from recall_daemon.store import spaces
from recall_daemon.store.spaces import Space
from recall_daemon.store.store import Store

log = structlog.get_logger(__name__)

# Opens the model of a space that the store remembers. Raises what `open_embedder` raises.
Reopen = Callable[[Space], Embedder]


def remembered(choice: str, model_dir: Path | None) -> str:
    """What the store keeps of a model, so that `reopener` can open it: JSON."""
    return json.dumps({"embedder": choice, "model_dir": str(model_dir) if model_dir else None})


def reopener(data_dir: Path, threads: int | None) -> Reopen:
    """Opens what `remembered` says, or else the export in the data folder."""

    def reopen(space: Space) -> Embedder:
        model = json.loads(space.model)
        choice, folder = model.get("embedder"), model.get("model_dir")
        if choice not in get_args(Choice):
            raise ModelMissing(f"this recalld knows no embedder {str(choice)[:40]!r}")
        kept = _kept(space, data_dir, threads)
        if kept is not None:
            return kept
        found = open_embedder(
            choice, data_dir=data_dir, model_dir=Path(folder) if folder else None, threads=threads
        )
        if found.space.space_id != space.space_id:
            raise ModelMissing(
                f"the model of {space.space_id} is gone: its place holds {found.space.space_id}"
            )
        return found

    return reopen


def export_dropper(data_dir: Path) -> Callable[[str], None]:
    """Removes what was exported of the weights of a revision. Idempotent."""

    def drop(revision: str) -> None:
        from recall_daemon.embed.export import drop_export

        drop_export(data_dir, revision)

    return drop


def _kept(space: Space, data_dir: Path, threads: int | None) -> Embedder | None:
    """The export of the space's weights; None where there is none."""
    from recall_daemon.embed.export import kept_model
    from recall_daemon.embed.onnx_session import OnnxEmbedder

    try:
        files, model = kept_model(data_dir, space.revision)
    except ModelMissing:
        return None
    if files.space.space_id != space.space_id:
        return None
    return OnnxEmbedder(files, model, threads=threads)


class Models:
    """Which model answers, and which one is being prepared. Safe from several threads.

    `wanted` is the model of the settings, `model` how the store shall remember it. Opening a model
    can take half a minute, so it happens in whichever worker thread calls `get` first; `space_id`
    and `embed_query` never wait for it.
    """

    def __init__(
        self,
        store: Store,
        wanted: LazyEmbedder,
        *,
        model: str,
        reopen: Reopen,
        now: Callable[[], datetime],
    ) -> None:
        self._store = store
        self._wanted = wanted
        self._model = model
        self._reopen = reopen
        self._now = now
        self._settling = threading.Lock()
        with store.read() as connection:
            serving = spaces.listed(connection).get("serving")
        # What the store's vectors are of, known before any model is open.
        self._stored_space_id = serving.space_id if serving else None
        self._serving = wanted
        self._settled_for: str | None = ""

    def get(self) -> Embedder | None:
        """The model that serves, opened if need be; None where it cannot be had. Blocking."""
        with self._settling:
            self._settle()
            embedder = self._serving.get()
        if embedder is None or embedder.space.space_id != self._stored_space_id:
            return None
        return embedder

    def building(self) -> Embedder | None:
        """The model whose space is being built; None where there is nothing to build. Blocking."""
        with self._settling:
            self._settle()
            wanted = self._wanted.get()
        if wanted is None or wanted.space.space_id == self._stored_space_id:
            return None
        return wanted

    def _settle(self) -> None:
        """Compare the settings' model with the store's space; once for each model there is."""
        wanted = self._wanted.get()
        wanted_id = wanted.space.space_id if wanted else None
        if wanted_id == self._settled_for and self._stored_space_id is not None:
            return
        if wanted_id is not None:
            self._store.write(
                lambda connection: spaces.settle(connection, wanted_id, self._model, self._now())
            )
        with self._store.read() as connection:
            serving = spaces.listed(connection).get("serving")
        self._stored_space_id = serving.space_id if serving else None
        if serving is not None and serving.space_id != wanted_id:
            if wanted_id is not None:
                log.info("model.changing", serving=serving.space_id, building=wanted_id)
            self._serving = LazyEmbedder(lambda: self._reopen(serving))
        else:
            self._serving = self._wanted
        self._settled_for = wanted_id

    def take_over(
        self, embedder: Embedder, *, besides: list[str], adopt: Callable[[str], None]
    ) -> bool:
        """Have the space that was built with `embedder` serve; False where it still lacks texts.

        Texts in `besides` (they cannot be embedded) may be lacking. `adopt` has the index take the
        space's vectors, and queries are embedded for them from then on. Where it fails, the next
        start finds the new space serving. Blocking.
        """
        space_id = embedder.space.space_id
        if not self._store.write(
            lambda connection: spaces.switch(connection, space_id, self._now(), besides=besides)
        ):
            return False
        adopt(space_id)
        with self._settling:
            log.info("model.changed", before=self._stored_space_id, now=space_id)
            self._serving, self._stored_space_id = self._wanted, space_id
        return True

    @property
    def why_not(self) -> str:
        """Why there is no model at present."""
        return self._serving.why_not

    def stored_space_id(self) -> str | None:
        """The space the store serves from, also while its model is not open."""
        return self._stored_space_id

    def space_id(self) -> str | None:
        """The space that serves; None while its model is not open."""
        space_id = self._serving.space_id()
        return space_id if space_id == self._stored_space_id else None

    def embed_query(self, query: str, space_id: str) -> NDArray[np.float32] | None:
        """A query's vector in that space, of shape (384,); None where no open model is of it.

        While a model takes over, the index may serve the space of either.
        """
        for model in (self._serving, self._wanted):
            if model.space_id() == space_id:
                return model.embed_query(query)
        return None
