"""`recalld verify`: proves that the index is the store, and the store its ledger.

What changes while this reads is left out of the comparison, so that ingest may go on.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa

from recall_daemon.errors import VerifyInvalid
from recall_daemon.index.follower import Held, Index
from recall_daemon.index.growable import Array
from recall_daemon.index.vectors import LARGEST
from recall_daemon.index.view import IndexView
from recall_daemon.metrics import CONSISTENCY_ERRORS
from recall_daemon.store import audit, side_checks, vectors
from recall_daemon.store.memories import StoreFeed
from recall_daemon.store.store import Store
from recall_daemon.tiers.tiers import Tiers

Json = dict[str, Any]

# Half floats have 11 bits; and half a step of the code is lost when a vector is coded.
_HALF_FLOAT = 2.0**-10
_HALF_STEP = 0.51
_SAMPLED_AT_A_TIME = 1_000
_NAMED = 3
SAMPLE_MAX = 10_000


class Verification:
    """Blocking and slow: reads every row, but no more of each than its hashes at a time.

    Memory beside the store's own limit: about 100 bytes a row.
    """

    def __init__(self, store: Store, index: Index, feed: StoreFeed, tiers: Tiers) -> None:
        self._store = store
        self._index = index
        self._feed = feed
        self._tiers = tiers

    def run(self, sample: int = 0) -> Json:
        """`{ok, logical_hash, problems}`: one sentence for each thing that is wrong.

        With `sample`, the words and the vectors of so many random texts are compared too, and so
        many random cold rows fetched. Raises `VerifyInvalid` for more than `SAMPLE_MAX`, and
        `TransientError` where their bucket does not answer.
        """
        if not 0 <= sample <= SAMPLE_MAX:
            raise VerifyInvalid(
                f"a sample of {sample} rows is not between 0 and {SAMPLE_MAX}",
                hint="each is fetched and compared; ask several times for more",
            )
        with self._store.read() as connection:
            found = {"store": audit.problems(connection)}
            found["agents"] = side_checks.problems(connection)
            logical_hash = audit.logical_hash(connection)
        found["index"] = index_problems(self._store, self._index, self._feed, sample)
        found["cold"] = self._tiers.sample_problems(sample) if sample else []
        for kind, said in found.items():
            CONSISTENCY_ERRORS.labels(kind).inc(len(said))
        problems = [sentence for said in found.values() for sentence in said]
        return {"ok": not problems, "logical_hash": logical_hash, "problems": problems}


def index_problems(store: Store, index: Index, feed: StoreFeed, sample: int = 0) -> list[str]:
    """One sentence for each way in which the index, brought up to the store, differs from it.

    Proven for every row and vector that has not changed since this began. `sample`: of so many
    random rows also the words and the vectors' numbers are compared.
    """
    space_id = feed.space_id
    upto = feed.last_change()
    index.apply(feed)
    held = index.held()
    with store.read() as connection:
        problems = audit.row_problems(connection, held.rows, upto)
        if space_id is not None:
            problems += audit.vector_problems(
                connection, held.texts, space_id, upto, largest=LARGEST
            )
    problems += _word_problems(held)
    if sample:
        problems += _sample_problems(store, feed, held.view, sample, upto)
    return problems


def _word_problems(held: Held) -> list[str]:
    """The documents are those of the index's own rows, which `row_problems` compares."""
    rows = np.sort(held.rows["row_id"].to_numpy())
    pieces = [np.asarray(piece, dtype=np.int64) for piece in held.view.words.row_ids()]
    documents = np.concatenate([np.empty(0, dtype=np.int64), *pieces])
    distinct = np.unique(documents)
    said = {
        "the index lacks the words of {} rows": len(np.setdiff1d(rows, distinct)),
        "the index has the words of {} rows that are gone": len(np.setdiff1d(distinct, rows)),
        "the index has the words of {} rows twice": len(documents) - len(distinct),
        "the index lacks the words of {} cold rows, whose texts could not be fetched yet": (
            held.view.words.lacking_rows
        ),
    }
    return [sentence.format(count) for sentence, count in said.items() if count]


def _sample_problems(
    store: Store, feed: StoreFeed, view: IndexView, count: int, upto: int
) -> list[str]:
    with store.read() as connection:
        rows = audit.sample(connection, count, upto)
    unworded: list[str] = []
    differing: list[str] = []
    for start in range(0, rows.num_rows, _SAMPLED_AT_A_TIME):
        some = rows.slice(start, _SAMPLED_AT_A_TIME)
        unworded += _without_words(feed, view, some)
        differing += _with_other_vectors(store, feed, view, some, upto)
    said = {"words": unworded, "vectors": differing}
    return [
        f"the {what} of {len(names)} sampled rows are not those of their texts: "
        f"{', '.join(names[:_NAMED])}"
        for what, names in said.items()
        if names
    ]


def _without_words(feed: StoreFeed, view: IndexView, rows: pa.Table) -> list[str]:
    """The sampled rows whose document does not hold their text; far texts are not asked for."""
    return [
        name
        for name, row_id, text in zip(
            _names(rows), rows["row_id"].to_pylist(), rows["text"].to_pylist(), strict=True
        )
        if text is not None and not view.words.holds(row_id, text)
    ]


def _with_other_vectors(
    store: Store, feed: StoreFeed, view: IndexView, rows: pa.Table, upto: int
) -> list[str]:
    hashes, row_ids = rows["text_hash"].to_pylist(), rows["row_id"].to_pylist()
    with store.read() as connection:
        passages = vectors.of_texts(connection, feed.space_id or "", list(set(hashes)))
    said = {name: (matrix, slack) for name, matrix, slack in _by_text(passages, upto)}
    found = view.passages_of(row_ids)
    return [
        name
        for name, row_id, text_hash in zip(_names(rows), row_ids, hashes, strict=True)
        if text_hash in said and not _is_same(found.get(row_id), *said[text_hash])
    ]


def _by_text(passages: pa.Table, upto: int) -> Iterator[tuple[str, Array, Array]]:
    """Each text with its usable vectors, and how far each of them may be from the index's."""
    if not passages.num_rows:
        return
    matrix = passages["vector"].combine_chunks().flatten().to_numpy()
    matrix = matrix.reshape(passages.num_rows, -1)
    scale = passages["scale"].fill_null(0).to_numpy()
    slack = _HALF_STEP * scale + _HALF_FLOAT * np.abs(matrix).max(axis=1)
    names, change_no = np.asarray(passages["text_hash"]), passages["change_no"].to_numpy()
    starts = np.flatnonzero(np.concatenate([[True], names[1:] != names[:-1]]))
    for start, end in zip(starts, [*starts[1:], len(names)], strict=True):
        if change_no[start:end].max() <= upto:
            with np.errstate(invalid="ignore"):
                usable = start + np.flatnonzero(np.abs(matrix[start:end]).max(axis=1) <= LARGEST)
            yield str(names[start]), matrix[usable], slack[usable]


def _is_same(found: Array | None, said: Array, slack: Array) -> bool:
    if found is None or len(found) != len(said):
        return found is None and not len(said)
    return bool((np.abs(found - said) <= slack[:, None]).all())


def _names(rows: pa.Table) -> list[str]:
    systems, memories = rows["system_id"].to_pylist(), rows["memory_id"].to_pylist()
    return [f"{system}/{memory}" for system, memory in zip(systems, memories, strict=True)]
