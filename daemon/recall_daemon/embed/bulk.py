"""Few texts to the one embedder, many to a faster one that is opened when first needed."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

import structlog

from recall_daemon.embed.base import Embedder, Vectors
from recall_daemon.embed.passages import Span
from recall_daemon.embed.reference import lowest_cosine
from recall_wire.errors import RecallError

# Fewer texts at once are a query or a trickle, and stay with the first embedder.
BULK_TEXTS = 32
# Opening the bulk embedder costs about what this many texts cost without it (torch's import, some
# seconds and 400 MB): waiting for them never loses more than half, and a small hub never pays.
OPEN_AFTER_TEXTS = 1024
MIN_COSINE = 0.9999

_log = structlog.get_logger(__name__)


class BulkEmbedder:
    """Queries never wait for bulk: they have their own embedder.

    The bulk embedder is opened once 1,024 texts came in bulk, and trusted after it gave the same
    vectors as the other one (cosine 0.9999) on the check texts. Where it cannot be opened, or
    gives others, that is logged once and everything goes to the first one.
    """

    def __init__(self, queries: Embedder, open_bulk: Callable[[], Embedder]) -> None:
        self.space = queries.space
        self._queries = queries
        self._open_bulk = open_bulk
        self._bulk: Embedder | None = None
        self._bulk_texts = 0
        self._lock = threading.Lock()

    def encode(self, texts: Sequence[str]) -> Vectors:
        embedder = self._queries if len(texts) < BULK_TEXTS else self._for_bulk(len(texts))
        return embedder.encode(texts)

    def windows(self, texts: Sequence[str]) -> list[list[Span]]:
        return self._queries.windows(texts)

    def _for_bulk(self, count: int) -> Embedder:
        with self._lock:
            self._bulk_texts += count
            if self._bulk is None and self._bulk_texts >= OPEN_AFTER_TEXTS:
                self._bulk = self._checked()
            return self._bulk or self._queries

    def _checked(self) -> Embedder:
        try:
            bulk = self._open_bulk()
            lowest = lowest_cosine(bulk, self._queries)
        # The torch here may lack the operators or the library be broken: slower is no failure.
        except (RecallError, ImportError, AttributeError, RuntimeError, OSError) as error:
            _log.warning("bulk embedder not available, the slower one is used", reason=str(error))
            return self._queries
        if not lowest >= MIN_COSINE:
            _log.warning("bulk embedder is not exact, the slower one is used", cosine=lowest)
            return self._queries
        return bulk
