"""What `/readyz` says of the index."""

from __future__ import annotations

from recall_daemon.index.follower import Counts

OK = "ok"


def health(counts: Counts, last_change: int, *, followed: bool, failure: str | None) -> str:
    """`OK`, or in one sentence what is not as it should be; a rebuild is nothing wrong.

    `last_change` is the store's; `followed`: it was caught up with since the start; `failure`: why
    it cannot be followed at present.
    """
    if failure is not None:
        return failure
    how_far = f"{counts.progress} of {last_change} changes"
    if not followed:
        return f"still reading the store: {how_far}"
    if counts.why_not_sealed is not None:
        return f"its newest vectors stay in memory: {counts.why_not_sealed}"
    if counts.lacking_rows:
        return f"{counts.lacking_rows} cold rows lack their words: texts are not fetched yet"
    return f"{OK}, and being made anew: {how_far}" if counts.rebuilding else OK
