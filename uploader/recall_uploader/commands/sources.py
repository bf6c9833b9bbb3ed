"""`recall sources`."""

from __future__ import annotations

import json
import os
from dataclasses import asdict
from pathlib import Path

from recall_uploader.commands.printing import print_result, print_table, say


def sources(*, json_: bool = False, config: Path | None = None) -> int:
    """Show where memories were looked for, and which the next upload reads.

    Parameters
    ----------
    json_
        Print a JSON list.
    config
        A YAML settings file.
    """
    from recall_uploader.places import places
    from recall_uploader.settings import load_settings

    found = places(load_settings(config), Path.home(), os.environ)
    if json_:
        print_result(json.dumps([asdict(item) for item in found]))
        return 0
    rows = [("read" if item.taken else "-", item.path, item.type, item.why) for item in found]
    print_table(("", "path", "type", ""), rows)
    if not any(item.taken for item in found):
        say("the next upload reads nothing; name a file or folder, or set source or sources")
    return 0
