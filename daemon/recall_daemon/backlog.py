"""Works the embedding backlog off: texts without a vector in the hub's space, oldest first."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import structlog

from recall_daemon.embed.base import Embedder
from recall_daemon.store import vectors
from recall_daemon.store.store import Store
from recall_daemon.store.vectors import Embedded, Pending
from recall_wire.errors import RecallError

log = structlog.get_logger(__name__)

# A look-up goes through every hash, so ask for many; commit often, so that a crash repeats little.
LOOK_UP_TEXTS = 2048
BATCH_TEXTS = 512


def _never() -> bool:
    return False


class Backlog:
    """Embeds what the store lacks. The backlog is derived, so a crash costs at most one batch."""

    def __init__(self, store: Store, *, on_embedded: Callable[[], None]) -> None:
        self._store = store
        self._on_embedded = on_embedded
        self._hopeless: set[str] = set()

    def size(self, space_id: str) -> int:
        """How many distinct texts wait, without those this process found it cannot embed."""
        with self._store.read() as connection:
            return vectors.backlog_size(connection, space_id, besides=list(self._hopeless))

    def drain(self, embedder: Embedder, *, stop: Callable[[], bool] = _never) -> int:
        """Embed until nothing waits or `stop()`; returns how many texts. Blocking.

        A text that the model cannot take is logged, and neither counted nor tried again by this
        process; the others go on.
        """
        done = 0
        while texts := self._look_up(embedder.space.space_id):
            for start in range(0, len(texts), BATCH_TEXTS):
                if stop():
                    return done
                done += self._embed(embedder, texts[start : start + BATCH_TEXTS])
        return done

    def _look_up(self, space_id: str) -> list[Pending]:
        with self._store.read() as connection:
            return vectors.backlog(
                connection, space_id, LOOK_UP_TEXTS, besides=list(self._hopeless)
            )

    def _embed(self, embedder: Embedder, batch: Sequence[Pending]) -> int:
        try:
            matrix = embedder.encode([pending.text or "" for pending in batch])
        except RecallError as error:
            return self._embed_singly(embedder, batch, error)
        texts = [
            Embedded(pending.text_hash, [(0, len(pending.text or ""))], matrix[at : at + 1])
            for at, pending in enumerate(batch)
        ]
        space_id = embedder.space.space_id
        self._store.write(lambda connection: vectors.put(connection, space_id, texts))
        self._on_embedded()
        return len(batch)

    def _embed_singly(
        self, embedder: Embedder, batch: Sequence[Pending], error: RecallError
    ) -> int:
        if len(batch) == 1:
            log.warning("text.not_embedded", text_hash=batch[0].text_hash, error=str(error))
            self._hopeless.add(batch[0].text_hash)
            return 0
        return sum(self._embed(embedder, [pending]) for pending in batch)
