"""Reconciliation: what is derived from the store is compared with it, row by row, and repaired.

The store is the truth, and its tombstones win: a row that is deleted there is taken out wherever it
is found. Compared are ids and versions, never counts. A run looks at a bounded range of rows and
the next one goes on from there, so that a large store is gone through in the background.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from functools import partial
from typing import Final

import structlog

from recall_daemon.agents.config import Agents
from recall_daemon.index.feed import Feed
from recall_daemon.index.follower import Index
from recall_daemon.index.mending import Piece
from recall_daemon.index.vectors import LARGEST
from recall_daemon.jobs import Progress
from recall_daemon.metrics import CONSISTENCY_ERRORS
from recall_daemon.store import reconciling, side_checks, weigh
from recall_daemon.store.lives import Name
from recall_daemon.store.reconciling import Pass, Standing, StoredRow, StoredText
from recall_daemon.store.store import Connection, Store
from recall_daemon.versions.settle import strategy_of

KIND: Final = "reconciliation"

# Rows of one comparison, during which the index follows nothing else; and of one run.
SLICE_ROWS: Final = 5_000
RUN_ROWS: Final = 20_000
# Memories of one transaction, where what lies beside them is repaired.
BESIDE: Final = 200

# What may be wrong, as the metric and the job's record name it.
MISSING: Final = "row_missing"
OUTDATED: Final = "row_outdated"
DELETED: Final = "row_deleted"
WORDS: Final = "row_words"
VECTORS: Final = "text_vectors"
SIDE: Final = "side_rows"
HEADS: Final = "heads"
TYPES: Final = (MISSING, OUTDATED, DELETED, WORDS, VECTORS, SIDE, HEADS)

log = structlog.get_logger(__name__)
for _type in TYPES:  # from the start: an alert sees how a series grows, not that it begins
    CONSISTENCY_ERRORS.labels(_type)


@dataclass(frozen=True)
class Differing:
    """What the index has otherwise than the store: rows by what is wrong with them, and texts."""

    rows: Mapping[str, Collection[int]] = field(default_factory=dict)
    texts: Collection[str] = ()

    @property
    def counts(self) -> Counter[str]:
        counts = Counter({kind: len(rows) for kind, rows in self.rows.items()})
        counts[VECTORS] = len(self.texts)
        return +counts


class Reconciler:
    """Blocking. Safe beside whatever follows and searches the index."""

    def __init__(
        self,
        store: Store,
        index: Index,
        feed: Feed,
        agents: Agents,
        *,
        now: Callable[[], datetime],
    ) -> None:
        self._store = store
        self._agents = agents
        self._strategy = strategy_of(agents)
        self._index = index
        self._feed = feed
        self._now = now

    def run(self, progress: Progress) -> None:
        """Compare and repair the next `RUN_ROWS` rows, or those to the end of the pass."""
        compared, repaired = 0, Counter[str]()
        while compared < RUN_ROWS:
            found, rows, ended = self._step()
            compared += rows
            repaired += found
            progress.update(compared, detail=_sentence(compared, repaired, ended=ended))
            if ended:
                return

    def standing(self) -> Standing:
        """How far the comparison is, and what the last whole pass found."""
        with self._store.read() as connection:
            return reconciling.standing(connection)

    def _step(self) -> tuple[Counter[str], int, bool]:
        """A slice: what was repaired, of how many rows, and whether the pass has ended with it."""
        with self._store.read() as connection:
            before = reconciling.standing(connection)
            end = reconciling.last_row(connection)
        first, last = before.upto + 1, min(before.upto + SLICE_ROWS, end)
        rows, found = self._compare(first, last)
        ended = last >= end
        if ended:
            found += Counter({SIDE: self._clear_left_over(), HEADS: self._serve_heads()})
        _count(+found)
        after = _after(before, last, rows, +found, ended=ended, now=self._now().isoformat())
        self._store.write(lambda connection: reconciling.set_standing(connection, after))
        return +found, rows, ended

    def _compare(self, first: int, last: int) -> tuple[int, Counter[str]]:
        if first > last:
            return 0, Counter()
        rows, differing = self._differing(first, last)
        row_ids = sorted({row_id for some in differing.rows.values() for row_id in some})
        if row_ids or differing.texts:
            self._index.mend(self._feed, row_ids, sorted(differing.texts))
            log.warning("index.repaired", first=first, last=last, **differing.counts)
        return rows, differing.counts

    def _differing(self, first: int, last: int) -> tuple[int, Differing]:
        """Of rows that have not changed since this began; the index is read before the store, so
        that it can be ahead of it in nothing."""
        space_id, upto = self._feed.space_id, self._feed.last_change()
        self._index.apply(self._feed)
        with self._store.read() as connection:
            asked = reconciling.rows_between(connection, first, last)
        hashes = sorted({row.text_hash for row in asked if row.text_hash and row.is_live})
        held = self._index.piece(first, last, hashes)
        with self._store.read() as connection:
            rows = reconciling.rows_between(connection, first, last)
            texts = (
                reconciling.texts(connection, space_id, hashes, LARGEST)
                if space_id is not None and space_id == held.space_id
                else []
            )
        return len(rows), Differing(
            _differing_rows(rows, held, upto), _differing_texts(texts, held, upto)
        )

    def _clear_left_over(self) -> int:
        """What forgotten memories left in the tables beside them."""
        cleared = 0
        while True:
            with self._store.read() as connection:
                names = side_checks.left_over(connection, BESIDE)
            if not names:
                return cleared
            self._store.write(partial(side_checks.clear, names=names, now=self._now()))
            cleared += len(names)

    def _serve_heads(self) -> int:
        """Memories that say something else than the version that is to be served, some a pass, are
        weighed anew."""
        with self._store.read() as connection:
            names = side_checks.unlike_their_head(connection, BESIDE)
        for name in names:
            self._store.write(partial(self._weigh, name=name))
        return len(names)

    def _weigh(self, connection: Connection, *, name: Name) -> None:
        now = self._now()
        held = weigh.hold(connection, *name, now, agents=self._agents)
        weigh.weigh(connection, held, (), self._strategy, now)


def _differing_rows(
    rows: Collection[StoredRow], held: Piece, upto: int
) -> Mapping[str, Collection[int]]:
    """The rows of the store, against those of the index, by what is wrong with them."""
    here = dict(
        zip(held.rows["row_id"].to_pylist(), held.rows["change_no"].to_pylist(), strict=True)
    )
    documents = Counter(held.documents["row_id"].to_pylist())
    settled = {row.row_id: row for row in rows if row.change_no <= upto}
    live = {row_id: row for row_id, row in settled.items() if row.is_live}
    changing = {row.row_id for row in rows} - settled.keys()
    gone = (here.keys() | documents.keys()) - live.keys() - changing
    return {
        MISSING: live.keys() - here.keys(),
        OUTDATED: {i for i, row in live.items() if here.get(i, row.change_no) != row.change_no},
        DELETED: gone,
        WORDS: {row_id for row_id in live.keys() & here.keys() if documents[row_id] != 1},
    }


def _differing_texts(texts: Collection[StoredText], held: Piece, upto: int) -> list[str]:
    here = {
        name: (passages, change_no)
        for name, passages, change_no in zip(
            *(held.texts[name].to_pylist() for name in ("text_hash", "passages", "change_no")),
            strict=True,
        )
    }
    return [
        one.text_hash
        for one in texts
        if one.newest <= upto
        and here.get(one.text_hash, (0, None)) != (one.passages, one.change_no)
    ]


def _after(
    before: Standing, last: int, rows: int, found: Counter[str], *, ended: bool, now: str
) -> Standing:
    under_way = before.now or Pass(began_at=now)
    repaired = dict(Counter(under_way.repaired) + found)
    this = replace(under_way, rows=under_way.rows + rows, repaired=repaired)
    if ended:
        return Standing(0, None, replace(this, ended_at=now))
    return Standing(last, this, before.last)


def _count(found: Counter[str]) -> None:
    for kind, count in found.items():
        CONSISTENCY_ERRORS.labels(kind).inc(count)


def _sentence(compared: int, repaired: Counter[str], *, ended: bool) -> str:
    said = ", ".join(f"{count} {kind}" for kind, count in sorted(repaired.items())) or "nothing"
    end = ", which ends the pass" if ended else ""
    return f"{compared} rows compared{end}; repaired: {said}"


def told(standing: Standing) -> dict[str, object]:
    """`{compared_upto, last}` for `status`: the rows done in this pass, and the last whole one."""
    last = standing.last
    return {"compared_upto": standing.upto, "last": None if last is None else asdict(last)}


def health(standing: Standing) -> str:
    """What `/readyz` says: nothing that was found is wrong any more, for it was repaired."""
    last = standing.last
    if last is None:
        return "ok, no whole pass yet"
    repaired = sum(last.repaired.values())
    return f"ok, {last.rows} rows compared until {last.ended_at}, {repaired} repaired"
