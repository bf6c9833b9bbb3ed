"""`recall doctor`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from recall_uploader.commands.printing import print_result
from recall_wire.doctor.facts import print_facts
from recall_wire.doctor.finding import as_facts, healthy

if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import TextIO

    from recall_wire.doctor.finding import Finding

HEALTHY, PROBLEM = 0, 2


def doctor(*, json_: bool = False, config: Path | None = None) -> int:
    """Try everything an upload needs, and say what to do where something is wrong.

    Ends with 2 where something keeps uploads from arriving. Takes 30 seconds at most, and leaves
    nothing behind.

    Parameters
    ----------
    json_
        Print one JSON object.
    config
        A YAML settings file.
    """
    found = look(config)
    if json_:
        print_result(json.dumps({"ok": healthy(found), "checks": [f.as_dict() for f in found]}))
    else:
        show(found)
    return HEALTHY if healthy(found) else PROBLEM


def look(config: Path | None) -> list[Finding]:
    """Settings that cannot be read are a problem like others."""
    from recall_uploader.doctor.examine import examine, impatient
    from recall_uploader.settings import config_path, load_settings
    from recall_wire.doctor.finding import failed
    from recall_wire.errors import SettingsInvalid

    try:
        settings = load_settings(config)
    except SettingsInvalid as error:
        return [failed("settings", error)]
    file = config or config_path()
    return examine(impatient(settings), file if file.is_file() else None)


def show(found: Iterable[Finding], file: TextIO | None = None) -> None:
    print_facts(as_facts(found), file)
