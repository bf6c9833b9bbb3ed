"""A numpy array that grows by appending, and that readers may keep while it does."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
_FIRST_CAPACITY = 1024


class Growable:
    """One column. Appending is amortised O(1) and never touches what `view` gave out.

    Growing makes a new array, so an older view keeps the old one. A change in place is seen by
    older views: call `detach` first where that would matter.
    """

    def __init__(self, dtype: npt.DTypeLike, *, fill: int = 0) -> None:
        self._fill = fill
        self._array: Array = np.full(_FIRST_CAPACITY, fill, dtype=dtype)
        self._length = 0

    def __len__(self) -> int:
        return self._length

    @property
    def view(self) -> Array:
        return self._array[: self._length]

    def extend(self, values: npt.ArrayLike) -> None:
        added = np.asarray(values, dtype=self._array.dtype)
        start = self._length
        self.resize(start + len(added))
        self._array[start : self._length] = added

    def resize(self, length: int) -> None:
        """Make it at least `length` long; new places hold the fill value."""
        if length > len(self._array):
            capacity = max(length, len(self._array) + len(self._array) // 2)
            grown = np.full(capacity, self._fill, dtype=self._array.dtype)
            grown[: self._length] = self.view
            self._array = grown
        self._length = max(self._length, length)

    def detach(self) -> None:
        """Go on with a copy: what is changed in place from now on is not seen by older views."""
        self._array = self._array.copy()
