"""Work that takes long: a few at a time, so that searches always find a thread."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeVar

import anyio
import anyio.to_thread

_Result = TypeVar("_Result")

# Of the 40 threads that routes share, so many may read the bucket's log, or the whole store.
AT_ONCE: Final = 4
_LIMITER: Final = anyio.CapacityLimiter(AT_ONCE)


async def slowly(work: Callable[[], _Result]) -> _Result:
    """Run `work` in a thread; it waits where `AT_ONCE` others do. Raises what it raises."""
    return await anyio.to_thread.run_sync(work, limiter=_LIMITER)
