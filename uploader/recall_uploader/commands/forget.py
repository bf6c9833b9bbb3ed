"""`recall forget`."""

from __future__ import annotations

import json
from pathlib import Path

from recall_uploader.commands.printing import print_result, warn
from recall_uploader.commands.upload import DELIVERED, QUEUED, sentence


def forget(*memory_ids: str, json_: bool = False, config: Path | None = None) -> int:
    """Make memories of this instance be forgotten everywhere, for good.

    Parameters
    ----------
    memory_ids
        The ids of the memories, sent before or not.
    json_
        Print the result as one JSON object.
    config
        A YAML settings file.
    """
    from recall_uploader import app, progress
    from recall_uploader.forget import forget as run_forget
    from recall_uploader.settings import load_settings
    from recall_wire.errors import SettingsInvalid

    if not memory_ids:
        raise SettingsInvalid("no memory is named", hint="give one or more ids to forget")
    instance = app.build(load_settings(config), show_progress=progress.for_terminal())
    result = run_forget(instance, memory_ids)
    warn(result.warnings)
    print_result(json.dumps(result.as_dict()) if json_ else sentence(result))
    return QUEUED if result.status == "queued" else DELIVERED
