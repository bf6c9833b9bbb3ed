"""Works the embedding backlog off: texts without their passages in a space, oldest first."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from time import monotonic

import structlog

from recall_daemon.embed.base import Embedder
from recall_daemon.embed.passages import Span
from recall_daemon.store import pending, vanished, vectors
from recall_daemon.store.audit import last_change
from recall_daemon.store.pending import Pending
from recall_daemon.store.store import Connection, Store
from recall_daemon.store.vectors import Embedded
from recall_wire.errors import RecallError, TransientError

log = structlog.get_logger(__name__)

# A look-up goes through every hash, so ask for many; commit often, so that a crash repeats little.
LOOK_UP_TEXTS = 2048
BATCH_TEXTS = 512
# Or one text, which has at most 1,024.
BATCH_WINDOWS = 512

# Between two looks at every row's hash; between them it is the changed rows that are looked at.
COMPLETE_S = 60.0

# The texts of cold rows, by row id; one that can never be had is absent. Raises `TransientError`
# where they cannot be had now.
ColdTexts = Callable[[Sequence[int]], Mapping[int, str]]


def _never() -> bool:
    return False


def _none_cold(row_ids: Sequence[int]) -> Mapping[int, str]:
    raise TransientError("cold texts cannot be fetched here")


@dataclass(frozen=True)
class _Cut:
    """A text and its windows."""

    pending: Pending
    text: str
    spans: list[Span]


class BacklogSize:
    """How many texts wait in a space: counted anew once something was committed, for it takes a
    look at every row's hash."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._known = ("", -1, 0)

    def of(self, space_id: str) -> int:
        """Blocking."""
        commits = self._store.commits
        known_space_id, known_commits, size = self._known
        if (known_space_id, known_commits) != (space_id, commits):
            with self._store.read() as connection:
                size = pending.backlog_size(connection, space_id)
            self._known = (space_id, commits, size)
        return size


class Backlog:
    """Embeds what the store lacks. The backlog is derived, so a crash costs at most one batch.

    `cold_texts` fetches texts that lie in the bucket alone: a hub asks for them when its model
    changes. Memory: a look-up's texts (64 MiB), and 1.5 KB for each of a batch's windows.
    """

    def __init__(
        self,
        store: Store,
        *,
        on_embedded: Callable[[], None],
        cold_texts: ColdTexts = _none_cold,
    ) -> None:
        self._store = store
        self._on_embedded = on_embedded
        self._cold_texts = cold_texts
        # Per space: another model may take what one could not.
        self._hopeless: defaultdict[str, set[str]] = defaultdict(set)
        # Per space: the change up to which nothing waits, and when every row was last looked at.
        self._done: dict[str, int] = {}
        self._complete_at: dict[str, float] = {}

    def hopeless(self, space_id: str) -> list[str]:
        """The hashes of the texts that this process found it cannot embed."""
        return list(self._hopeless[space_id])

    def size(self, space_id: str) -> int:
        """How many distinct texts wait, without those this process found it cannot embed."""
        with self._store.read() as connection:
            return pending.backlog_size(connection, space_id, besides=self.hopeless(space_id))

    def drain(self, embedder: Embedder, *, stop: Callable[[], bool] = _never) -> int:
        """Embed until nothing waits or `stop()`; returns how many texts. Blocking.

        A text that the model cannot take is logged, and neither counted nor tried again by this
        process; the others go on. Those that cannot be fetched now wait for the next call. Drops
        the vectors of texts that vanished, too.
        """
        self._done.pop(embedder.space.space_id, None)
        self._complete_at[embedder.space.space_id] = monotonic()
        if self._vanished():
            self._store.write(vanished.drop)
        return self._drain(embedder, stop)

    def keep_up(self, embedder: Embedder, *, stop: Callable[[], bool] = _never) -> int:
        """As `drain`, which takes a look at every row's hash; this only now and then, and besides
        at the rows that changed."""
        complete_at = self._complete_at.get(embedder.space.space_id, -math.inf)
        is_due = monotonic() - complete_at >= COMPLETE_S
        return self.drain(embedder, stop=stop) if is_due else self._drain(embedder, stop)

    def _vanished(self) -> bool:
        with self._store.read() as connection:
            return vanished.waiting(connection)

    def _drain(self, embedder: Embedder, stop: Callable[[], bool]) -> int:
        done, space_id = 0, embedder.space.space_id
        away: set[str] = set()
        while True:
            upto, texts = self._look_up(space_id, away)
            if not texts:
                break
            for start in range(0, len(texts), BATCH_TEXTS):
                batch = self._with_texts(texts[start : start + BATCH_TEXTS], space_id, away)
                for part in _parts(batch, embedder):
                    if stop():
                        return done
                    done += self._embed(embedder, part)
        if not away:
            self._done[space_id] = upto
        return done

    def _look_up(self, space_id: str, away: set[str]) -> tuple[int, list[Pending]]:
        """The last change that this look saw, and what waits."""
        besides = self._hopeless[space_id] | away
        after = self._done.get(space_id, 0)
        with self._store.read() as connection:
            return last_change(connection), pending.backlog(
                connection, space_id, LOOK_UP_TEXTS, besides=besides, after=after
            )

    def _with_texts(self, batch: Sequence[Pending], space_id: str, away: set[str]) -> list[Pending]:
        """The batch with the texts of its cold ones; those that cannot be had now go to `away`."""
        cold = [one for one in batch if one.text is None]
        texts = self._fetched(cold, space_id, away) if cold else {}
        return [
            one if one.text is not None else replace(one, text=texts[one.row_id])
            for one in batch
            if one.text is not None or one.row_id in texts
        ]

    def _fetched(self, cold: Sequence[Pending], space_id: str, away: set[str]) -> Mapping[int, str]:
        hashes = {one.row_id: one.text_hash for one in cold}
        try:
            texts = self._cold_texts(list(hashes))
        except TransientError as error:
            log.warning("text.away", texts=len(cold), error=str(error))
            away.update(hashes.values())
            return {}
        for row_id in hashes.keys() - texts.keys():
            log.warning("text.lost", text_hash=hashes[row_id])
            self._hopeless[space_id].add(hashes[row_id])
        return texts

    def _embed(self, embedder: Embedder, part: Sequence[_Cut]) -> int:
        """Embed and commit one part. A vector that came along stays where one window is all."""
        known = [cut for cut in part if cut.pending.given and len(cut.spans) == 1]
        fresh = [cut for cut in part if not (cut.pending.given and len(cut.spans) == 1)]
        try:
            texts = _encoded(embedder, fresh)
        except RecallError as error:
            return self._embed_singly(embedder, part, error)
        space_id = embedder.space.space_id
        ends = [(cut.pending.text_hash, cut.spans[0].end) for cut in known]

        def commit(connection: Connection) -> None:
            vectors.confirm(connection, space_id, ends)
            vectors.put(connection, space_id, texts)

        self._store.write(commit)
        self._on_embedded()
        return len(part)

    def _embed_singly(self, embedder: Embedder, part: Sequence[_Cut], error: RecallError) -> int:
        if len(part) == 1:
            text_hash = part[0].pending.text_hash
            log.warning("text.not_embedded", text_hash=text_hash, error=str(error))
            self._hopeless[embedder.space.space_id].add(text_hash)
            return 0
        return sum(self._embed(embedder, [cut]) for cut in part)


def _parts(batch: Sequence[Pending], embedder: Embedder) -> Iterator[list[_Cut]]:
    """The batch cut into windows, in parts of at most `BATCH_WINDOWS` windows or one text."""
    texts = [one.text or "" for one in batch]
    part: list[_Cut] = []
    windows = 0
    for one, text, spans in zip(batch, texts, embedder.windows(texts), strict=True):
        if part and windows + len(spans) > BATCH_WINDOWS:
            yield part
            part, windows = [], 0
        part.append(_Cut(one, text, spans))
        windows += len(spans)
    if part:
        yield part


def _encoded(embedder: Embedder, cuts: Sequence[_Cut]) -> list[Embedded]:
    passages = [cut.text[start:end] for cut in cuts for start, end in cut.spans]
    if not passages:
        return []
    matrix = embedder.encode(passages)
    texts, at = [], 0
    for cut in cuts:
        vectors_ = matrix[at : at + len(cut.spans)]
        one = cut.pending
        texts.append(Embedded(one.text_hash, cut.spans, vectors_, one.row_id))
        at += len(cut.spans)
    return texts
