"""`recall upload`, and how every command that sends ends."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from recall_uploader.commands.printing import print_result, warn
from recall_wire.sizes import bytes_text

if TYPE_CHECKING:
    from recall_uploader.app import Instance
    from recall_uploader.result import UploadResult

DELIVERED, QUEUED, PUSHED_INSTEAD = 0, 3, 4


def upload(
    source: Path | None = None,
    *,
    raw: bool = False,
    full: bool = False,
    dry_run: bool = False,
    json_: bool = False,
    confirm_deletes: bool = False,
    config: Path | None = None,
) -> int:
    """Send what is new or changed in this machine's memories since the last upload.

    Parameters
    ----------
    source
        A memory database, a file of records, a folder of transcripts or notes. Without it, the
        sources from the settings, else those in their known places.
    raw
        Send the DuckDB file itself instead of its memories.
    full
        Send everything, also what has not changed.
    dry_run
        Say what would be sent, and which secrets would be replaced; write nothing.
    json_
        Print the result as one JSON object.
    confirm_deletes
        With `deletes: propagate`: delete in the hub although many rows are gone.
    config
        A YAML settings file.
    """

    def run(instance: Instance) -> UploadResult:
        from recall_uploader.everything import sources_of
        from recall_uploader.extract import Request
        from recall_uploader.upload import plan
        from recall_uploader.upload import upload as run_upload

        _use_the_system_allocator()
        requests = [
            Request(item, raw=raw, full=full, confirm_deletes=confirm_deletes)
            for item in sources_of(instance.settings, source)
        ]
        return (plan if dry_run else run_upload)(instance, *requests)

    return deliver_with(run, json_=json_, config=config)


def deliver_with(
    run: Callable[[Instance], UploadResult], *, json_: bool, config: Path | None
) -> int:
    """Build the instance, run, print; never longer than the settings allow."""
    from recall_uploader import app, progress
    from recall_uploader.deadline import last_resort
    from recall_uploader.settings import load_settings

    settings = load_settings(config)
    instance = app.build(
        settings,
        show_progress=progress.for_terminal(),
        guard=lambda limit_s: last_resort(settings.lock_wait_s + limit_s, QUEUED),
        tell=lambda result: _tell_beside(result, json_=json_),
    )
    result = run(instance)
    _tell(result, json_=json_)
    if result.status == "pushed":
        return PUSHED_INSTEAD if instance.connect and settings.force_method == "auto" else 0
    return QUEUED if result.status == "queued" else DELIVERED


def _tell_beside(result: UploadResult, *, json_: bool) -> None:
    """Of a run that also failed: nothing where it delivered nothing."""
    if result.status == "unchanged":
        warn(result.warnings)
    else:
        _tell(result, json_=json_)


def _tell(result: UploadResult, *, json_: bool) -> None:
    warn(result.warnings)
    print_result(json.dumps(result.as_dict()) if json_ else sentence(result))


def sentence(result: UploadResult) -> str:
    """The result for a person."""
    if result.status == "unchanged":
        return f"{result.system_id}: nothing new"
    if result.status == "pushed" and not result.rows:
        return f"{result.system_id}: nothing new for the hub"
    raw = result.bytes and not result.rows  # nobody counts what is in a database sent whole
    sizes = "a database" if raw else f"{result.rows} rows"
    if result.deletes:
        sizes += f", {result.deletes} of them deletes"
    if result.bytes:
        sizes += f", {bytes_text(result.bytes)}"
    if result.redacted:
        sizes += f", {result.redacted} secrets replaced"
    said = {
        "planned": f"would send {sizes}, from snapshot {result.seq} on",
        "queued": f"queued up to snapshot {result.seq}: {sizes}",
        "pushed": f"pushed to the hub up to snapshot {result.seq}: {sizes}",
    }
    delivered = f"delivered up to snapshot {result.seq}: {sizes}"
    return f"{result.system_id}: {said.get(result.status, delivered)}"


def _use_the_system_allocator() -> None:
    """Arrow's own holds on to 11 MiB more at the peak of a large extraction."""
    import pyarrow as pa

    pa.set_memory_pool(pa.system_memory_pool())
