"""`recall forget`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from recall_uploader.commands.upload import deliver_with

if TYPE_CHECKING:
    from recall_uploader.app import Instance
    from recall_uploader.result import UploadResult


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
    from recall_wire.errors import SettingsInvalid

    if not memory_ids:
        raise SettingsInvalid("no memory is named", hint="give one or more ids to forget")

    def run(instance: Instance) -> UploadResult:
        from recall_uploader.forget import forget as run_forget

        return run_forget(instance, memory_ids)

    return deliver_with(run, json_=json_, config=config)
