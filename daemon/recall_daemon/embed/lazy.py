"""The hub's one embedder: loaded when first needed, once, and absent without harm."""

from __future__ import annotations

import threading
from collections.abc import Callable

import numpy as np
import structlog
from numpy.typing import NDArray

from recall_daemon.embed.base import Embedder
from recall_daemon.metrics import BREAKER_OPEN
from recall_wire.errors import RecallError

log = structlog.get_logger(__name__)

DIM = 384


class LazyEmbedder:
    """Gives the embedder that `open_` opens, or says why there is none.

    Loading can take half a minute the first time (the model is exported once), so it happens in
    whichever worker thread asks first; `space_id` and `embed_query` never wait for it.
    """

    def __init__(self, open_: Callable[[], Embedder]) -> None:
        self._open = open_
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
            self._embedder = self._open()
            BREAKER_OPEN.labels("model").set(0)
        except RecallError as error:
            if self.why_not != str(error):
                log.warning("model.unavailable", error=str(error))
            BREAKER_OPEN.labels("model").set(1)
            self.why_not = str(error)

    def space_id(self) -> str | None:
        """The hub's embedding space; None while there is no model."""
        return self._embedder.space.space_id if self._embedder else None

    def embed_query(self, query: str) -> NDArray[np.float32] | None:
        """A query's vector of shape (384,); None while there is no model."""
        return self._embedder.encode([query])[0] if self._embedder else None
