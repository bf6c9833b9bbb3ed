"""What a query means: its vector, made once for the queries that were asked last."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import structlog

from recall_daemon.search.pool import Vector

# A query's vector in a space; None means that there is no model of that space at present.
EmbedQuery = Callable[[str, str], npt.ArrayLike | None]

KEPT = 256
# The model reads at most 256 tokens; tokenizing more than this of a pasted text is waste.
_EMBED_MAX_CHARS = 10_000

log = structlog.get_logger(__name__)


class QueryVectors:
    """Safe from many threads; the model runs outside the lock. 1.5 KB a kept query at 384-d."""

    def __init__(self, embed_query: EmbedQuery | None) -> None:
        self._embed_query = embed_query
        self._lock = threading.Lock()
        self._kept: OrderedDict[tuple[str, str], Vector] = OrderedDict()

    def of(self, query: str, space_id: str, dim: int) -> Vector | None:
        """The query's vector of length `dim` in that space; None where none can be had."""
        key = (space_id, query[:_EMBED_MAX_CHARS])
        with self._lock:
            kept = self._kept.get(key)
            if kept is not None and len(kept) == dim:
                self._kept.move_to_end(key)
                return kept
        made = self._made(key[1], space_id, dim)
        if made is not None:
            with self._lock:
                self._kept[key] = made
                while len(self._kept) > KEPT:
                    self._kept.popitem(last=False)
        return made

    def _made(self, query: str, space_id: str, dim: int) -> Vector | None:
        if self._embed_query is None:
            return None
        try:
            found = self._embed_query(query, space_id)
            if found is None:
                return None
            vector = np.asarray(found, dtype=np.float32)
        except Exception as error:  # whatever a model does, words still answer
            log.warning("query_embedding_failed", error=str(error), kind=type(error).__name__)
            return None
        if vector.shape != (dim,) or not np.isfinite(vector).all():
            log.warning("query_embedding_unusable", shape=vector.shape, dim=dim)
            return None
        return vector
