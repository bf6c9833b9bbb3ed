"""How long searches take, by mode and by how they end."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from time import perf_counter

from recall_daemon.metrics import SEARCH_SECONDS
from recall_wire.errors import TerminalError


class Ending:
    """How a search ended, said by whoever ran it."""

    outcome = "ok"


@contextmanager
def measured(mode: str) -> Iterator[Ending]:
    """Observes the block, two microseconds for it; what it raises is refused or failed."""
    started, ending = perf_counter(), Ending()
    try:
        yield ending
    except TerminalError:
        ending.outcome = "refused"
        raise
    except BaseException:
        ending.outcome = "failed"
        raise
    finally:
        SEARCH_SECONDS.labels(mode, ending.outcome).observe(perf_counter() - started)
