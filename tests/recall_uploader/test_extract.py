"""What ends an extraction half-way, and what the next one then finds."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from recall_uploader.deliver import deliver
from recall_uploader.errors import OutboxFull
from recall_uploader.extract import Ground, Request, extract_rows, opened
from recall_uploader.run import open_run


def test_the_same_run_can_go_on_where_a_full_outbox_ended_it(
    instance_of: Any, notes: Path, view: Any
) -> None:
    request = Request(notes)
    with open_run(instance_of(snapshot_max_rows=4)) as run:
        ground = Ground.of(run.instance.settings, run.folder, run.patience.deadline)
        with opened(request, ground, run.state) as source:
            # Whoever keeps the error keeps its frames, and with them what they were reading.
            with pytest.raises(OutboxFull) as kept:
                extract_rows(source, request, replace(run.spool, max_outbox_bytes=1))
            deliver(run)
            extract_rows(source, request, run.spool)
            assert kept.value.__traceback__ is not None
        deliver(run)
    assert view.seqs() == [1, 2, 3]
    assert len(view.records()) == 10
