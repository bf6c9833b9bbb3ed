"""`recalld doctor`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from recall_daemon.commands.program import AsJson, Config, app
from recall_daemon.settings import ENV_PREFIX, HubSettings, settings_file
from recall_wire.exits import REFUSED

if TYPE_CHECKING:
    from recall_wire.doctor.finding import Finding


@app.command
def doctor(*, json_: AsJson = False, config: Config = None) -> int:
    """Try everything the hub needs, and say what to do where something is wrong.

    Beside a hub that runs, through its port; without one, on the store itself. Ends with 2 where
    something keeps the hub from its work. Takes 60 seconds at most, and leaves nothing behind.
    """
    from recall_wire.doctor.facts import print_facts
    from recall_wire.doctor.finding import as_facts, healthy

    found = _look(config)
    if json_:
        checks = [item.as_dict() for item in found]
        print(json.dumps({"ok": healthy(found), "checks": checks}, ensure_ascii=False))
    else:
        print_facts(as_facts(found))
    return 0 if healthy(found) else REFUSED


def _look(config: Path | None) -> list[Finding]:
    """Settings that cannot be read are a problem like others."""
    from recall_daemon.doctor.examine import examine
    from recall_daemon.doctor.look import Look
    from recall_wire.doctor.finding import failed
    from recall_wire.errors import SettingsInvalid
    from recall_wire.manifest import now_utc
    from recall_wire.settings import load_with_origins

    file = settings_file(config)
    try:
        settings, origins = load_with_origins(HubSettings, env_prefix=ENV_PREFIX, yaml_file=file)
    except SettingsInvalid as error:
        return [failed("settings", error)]
    return examine(Look(settings, file, origins, now_utc))
