"""The words of cold rows: their texts are fetched from the bucket, and nothing waits for them."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import AbstractContextManager

import pyarrow as pa
import pyarrow.compute as pc
import structlog

from recall_daemon.index.feed import Feed
from recall_daemon.index.state import State, StateClosed
from recall_wire.errors import TransientError

# So many texts are asked for at once.
FETCH_ROWS = 2_000
# How long rows without words wait until their texts are asked for again.
LACKING_RETRY_S = 60.0

log = structlog.get_logger(__name__)


def fetch_words(
    state: State, feed: Feed, holding: AbstractContextManager[object], publish: Callable[[], None]
) -> int:
    """Index the words of all rows that are without, in the order of their ids; returns how many.

    `holding` keeps the applying thread out of the state; it is free while the bucket is asked. The
    first failure of the bucket is logged and ends it for `LACKING_RETRY_S`. A text that is gone
    for good holds no other up. Raises `StateClosed`, at once also while the bucket hangs.
    """
    if time.monotonic() < state.ask_again_at:
        return 0
    done = away = after = 0
    while row_ids := _lacking(state, after, holding):
        after = row_ids[-1]
        try:
            rows = _with_texts(state, feed, row_ids)
        except StateClosed:
            raise
        except TransientError as error:
            log.warning("index.words_lacking", error=str(error))
            away += 1
            break
        away += len(row_ids) - rows.num_rows
        with holding:
            state.check_open()
            done += state.give_words(rows)
            publish()
    if away:
        state.ask_again_at = time.monotonic() + LACKING_RETRY_S
    return done


def _lacking(state: State, after: int, holding: AbstractContextManager[object]) -> list[int]:
    with holding:
        state.check_open()
        return state.words.view().lacking(after, FETCH_ROWS)


def _with_texts(state: State, feed: Feed, row_ids: list[int]) -> pa.Table:
    """Those of the rows that are live and whose text could be had, with it."""
    rows = feed.rows_now(row_ids)
    here = dict(zip(rows["row_id"].to_pylist(), rows["text"].to_pylist(), strict=True))
    found = state.ask(feed, [row_id for row_id, text in here.items() if text is None])
    texts = [found.get(row_id) if text is None else text for row_id, text in here.items()]
    filled = rows.set_column(
        rows.schema.get_field_index("text"), "text", pa.array(texts, pa.string())
    )
    return filled.filter(pc.is_valid(filled["text"])).combine_chunks()
