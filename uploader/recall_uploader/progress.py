"""A progress bar for a person at a terminal; on standard error, so that results stay clean."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from recall_uploader.app import no_progress
from recall_uploader.methods.base import Progress, ShowProgress


def for_terminal() -> ShowProgress:
    """A bar where standard error is a terminal, nothing in a pipe."""
    return _bar if sys.stderr.isatty() else no_progress


@contextmanager
def _bar(total_bytes: int) -> Iterator[Progress | None]:
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        DownloadColumn,
        TextColumn,
        TimeRemainingColumn,
        TransferSpeedColumn,
    )
    from rich.progress import (
        Progress as Bar,
    )

    columns = (
        TextColumn("uploading"),
        BarColumn(),
        DownloadColumn(binary_units=True),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    with Bar(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("uploading", total=total_bytes)
        yield lambda sent_bytes: bar.advance(task, sent_bytes)
