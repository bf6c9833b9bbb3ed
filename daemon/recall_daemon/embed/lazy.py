"""The hub's one embedder: loaded when first needed, once, and absent without harm."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Literal

import numpy as np
import structlog
from numpy.typing import NDArray

from recall_daemon.embed.base import Embedder
from recall_daemon.embed.choose import open_embedder
from recall_wire.errors import RecallError

log = structlog.get_logger(__name__)

DIM = 384
Choice = Literal["auto", "minilm", "hash"]


class LazyEmbedder:
    """Gives the embedder, or says why there is none: then the hub runs on words alone.

    Loading can take half a minute the first time (the model is exported once), so it happens in
    whichever worker thread asks first; `space_id` and `embed_query` never wait for it.
    """

    def __init__(
        self, choice: Choice, *, data_dir: Path, model_dir: Path | None, threads: int | None
    ) -> None:
        self._choice = choice
        self._data_dir = data_dir
        self._model_dir = model_dir
        self._threads = threads
        self._loading = threading.Lock()
        self._embedder: Embedder | None = None
        self.why_not = "the model is not loaded yet"

    def get(self) -> Embedder | None:
        """The embedder, loading it if need be; None where it cannot be had. Blocking."""
        with self._loading:
            if self._embedder is None:
                self._load()
            return self._embedder

    def _load(self) -> None:
        try:
            self._embedder = open_embedder(
                self._choice,
                data_dir=self._data_dir,
                model_dir=self._model_dir,
                threads=self._threads,
            )
        except RecallError as error:
            if self.why_not != str(error):
                log.warning("model.unavailable", error=str(error))
            self.why_not = str(error)

    def space_id(self) -> str | None:
        """The hub's embedding space; None while there is no model."""
        return self._embedder.space.space_id if self._embedder else None

    def embed_query(self, query: str) -> NDArray[np.float32] | None:
        """A query's vector of shape (384,); None while there is no model."""
        return self._embedder.encode([query])[0] if self._embedder else None
