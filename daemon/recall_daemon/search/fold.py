"""Near-duplicates folded into one: the same memory, said by several systems or several times."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from recall_daemon.index.view import IndexView
from recall_daemon.search.pool import Places
from recall_daemon.search.rank import Stage

# What a row was matched by, and its said key or its text's hash.
_Key = tuple[str | None, int] | tuple[str | None, int, int]


@dataclass(frozen=True, slots=True)
class Sayings:
    """What ranked rows say, as columns: two rows with an equal part, and found alike, are one hit.

    They have the same text (`high` and `low`, its hash; both 0 without a text), or their texts have
    the same words in the same order, whatever the case, outer punctuation and articles (`said`, see
    `analysis.said_key`). A text whose words are not indexed yet (cold) has only its hash.
    `matches`: how a row was found exactly; such a row and one that was not stay apart.
    """

    said: npt.NDArray[np.uint64]
    high: npt.NDArray[np.uint64]
    low: npt.NDArray[np.uint64]
    matches: tuple[str | None, ...]

    def keys(self, at: int) -> list[_Key]:
        match, said, high = self.matches[at], int(self.said[at]), int(self.high[at])
        keys: list[_Key] = [(match, said)] if said else []
        return [*keys, (match, high, int(self.low[at]))] if high else keys


def sayings(view: IndexView, stage: Stage) -> Sayings:
    keys = view.text_keys(stage.row_ids)
    matches = [stage.matches.get(row_id) for row_id in stage.row_ids.tolist()]
    return Sayings(stage.pool.coverage.said[stage.at], keys.high, keys.low, tuple(matches))


def leaders(parts: Sequence[Sayings]) -> Places:
    """For each row, of all parts one after the other, the first row that is the same hit: int64.

    What comes after a row does not change what it is led by.
    """
    whole = Sayings(
        np.concatenate([part.said for part in parts]),
        np.concatenate([part.high for part in parts]),
        np.concatenate([part.low for part in parts]),
        tuple(match for part in parts for match in part.matches),
    )
    leads = np.arange(len(whole.said))
    group_of: dict[_Key, int] = {}
    for at in np.flatnonzero(_repeated(whole.said) | _repeated(whole.high)).tolist():
        own = whole.keys(at)
        leads[at] = next((group_of[key] for key in own if key in group_of), at)
        for key in own:
            group_of.setdefault(key, int(leads[at]))
    return leads


def _repeated(values: npt.NDArray[np.uint64]) -> npt.NDArray[np.bool_]:
    """Which values are there more than once; 0 is none."""
    order = np.argsort(values)
    same = np.diff(values[order]) == 0
    found = np.zeros(len(values), dtype=np.bool_)
    found[order[1:][same]] = True
    found[order[:-1][same]] = True
    found &= values != 0
    return found
