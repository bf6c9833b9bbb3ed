"""Which of some memories say related things: a greedy grouping that is the same each time."""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

Vectors = npt.NDArray[np.float32]

# Cosine from which on two memories are related, and how many of them make a group.
SIMILARITY: Final = 0.7
MEMBERS_MIN: Final = 3
MEMBERS_MAX: Final = 10

# What float32 loses in 384 products.
_SLACK: Final = 1e-5


def groups(vectors: Vectors) -> list[list[int]]:
    """Places in `vectors`, float32 of shape (n, dim), of those that belong together.

    In their order, each that is left takes the first others that are related to it and to each
    other; fewer than `MEMBERS_MIN` stay as they are. Takes 5 n² bytes.
    """
    related = _normalised(vectors) @ _normalised(vectors).T >= SIMILARITY - _SLACK
    free = np.ones(len(vectors), dtype=np.bool_)
    found: list[list[int]] = []
    for seed in range(len(vectors)):
        members = _grown(seed, related, free) if free[seed] else []
        if len(members) >= MEMBERS_MIN:
            free[members] = False
            found.append(sorted(members))
    return found


def _grown(seed: int, related: npt.NDArray[np.bool_], free: npt.NDArray[np.bool_]) -> list[int]:
    members, open_ = [seed], related[seed] & free
    open_[seed] = False
    while len(members) < MEMBERS_MAX and open_.any():
        nearest = int(open_.argmax())  # the first that is true
        members.append(nearest)
        open_ &= related[nearest]
        open_[nearest] = False
    return members


def _normalised(vectors: Vectors) -> Vectors:
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors / np.maximum(lengths, 1e-12), dtype=np.float32)
