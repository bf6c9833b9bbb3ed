"""`recall init`."""

from __future__ import annotations

from pathlib import Path

from recall_uploader.commands.printing import print_result, warn


def init(*, adopt: bool = False, config: Path | None = None) -> int:
    """Make this instance's state folder, or take a system over.

    Parameters
    ----------
    adopt
        Go on with the system from this machine and this state folder, whoever wrote it before, and
        send everything once more.
    config
        A YAML settings file.
    """
    from recall_uploader import app
    from recall_uploader.init import adopt as run_adopt
    from recall_uploader.init import init as run_init
    from recall_uploader.settings import load_settings

    instance = app.build(load_settings(config))
    result = (run_adopt if adopt else run_init)(instance)
    warn(result.warnings)
    if result.set_aside:
        warn([f"{result.set_aside} snapshots that waited lie in the outbox's failed folder now"])
    print_result(f"{result.system_id}: ready, the next snapshot is {result.next_seq}")
    return 0
