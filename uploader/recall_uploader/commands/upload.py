"""`recall upload`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from recall_uploader.commands.printing import bytes_text, print_result, warn

if TYPE_CHECKING:
    from recall_uploader.result import UploadResult

DELIVERED, QUEUED = 0, 3


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
    """Send what is new or changed in a memory database since the last upload.

    Parameters
    ----------
    source
        A Session-Buddy DuckDB file, or Parquet or JSON Lines in the record schema. Without it, the
        source from the settings.
    raw
        Send the DuckDB file itself instead of its memories.
    full
        Send everything, also what has not changed.
    dry_run
        Say what would be sent, and write nothing.
    json_
        Print the result as one JSON object.
    confirm_deletes
        With `deletes: propagate`: delete in the hub although many rows are gone.
    config
        A YAML settings file.
    """
    import pyarrow as pa

    from recall_uploader import app, progress
    from recall_uploader.extract import Request
    from recall_uploader.settings import load_settings
    from recall_uploader.upload import plan
    from recall_uploader.upload import upload as run_upload
    from recall_wire.errors import SettingsInvalid

    # Arrow's own allocator holds on to 11 MiB more at the peak of a large extraction.
    pa.set_memory_pool(pa.system_memory_pool())
    settings = load_settings(config)
    path = source or settings.source
    if path is None:
        raise SettingsInvalid(
            "no source is named", hint="give its path, or set source in the settings"
        )
    request = Request(path.expanduser(), raw=raw, full=full, confirm_deletes=confirm_deletes)
    instance = app.build(settings, show_progress=progress.for_terminal())
    result = (plan if dry_run else run_upload)(instance, request)
    warn(result.warnings)
    print_result(json.dumps(result.as_dict()) if json_ else sentence(result))
    return QUEUED if result.status == "queued" else DELIVERED


def sentence(result: UploadResult) -> str:
    """The result for a person."""
    if result.status == "unchanged":
        return f"{result.system_id}: nothing new"
    deletes = f", {result.deletes} of them deletes" if result.deletes else ""
    sizes = f"{result.rows} rows{deletes}"
    if result.bytes:
        sizes += f", {bytes_text(result.bytes)}"
    said = {
        "planned": f"would send {sizes}, from snapshot {result.seq} on",
        "queued": f"queued up to snapshot {result.seq}: {sizes}",
    }
    delivered = f"delivered up to snapshot {result.seq}: {sizes}"
    return f"{result.system_id}: {said.get(result.status, delivered)}"
