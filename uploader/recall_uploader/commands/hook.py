"""`recall hook …`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from cyclopts import App

from recall_uploader.commands.printing import print_result, warn

if TYPE_CHECKING:
    from recall_uploader.hook.settings_file import SettingsFile

Agent = Literal["claude-code"]

app = App(name="hook", help="Upload when an agent's session ends, without the session waiting.")


@app.command(name="session-end")
def session_end(*, state_dir: Path | None = None, config: Path | None = None) -> None:
    """What the agent calls: reads its JSON on standard input, starts the upload, and is back.

    Always ends with 0. What came of it stands in hook/hook.log beside the state.

    Parameters
    ----------
    state_dir
        Where state and outbox lie.
    config
        A YAML settings file.
    """
    from recall_uploader.entry import end_session

    words = ["--state-dir", str(state_dir)] if state_dir else []
    end_session(words + (["--config", str(config)] if config else []))


@app.command
def install(
    agent: Agent,
    *,
    settings: Path | None = None,
    state_dir: Path | None = None,
    config: Path | None = None,
) -> int:
    """Put the hook into an agent's settings; everything else in them stays as it is.

    Parameters
    ----------
    agent
        claude-code.
    settings
        Its settings file; without it, settings.json in $CLAUDE_CONFIG_DIR or ~/.claude.
    state_dir
        The hook is called with this folder for state and outbox.
    config
        The hook is called with this YAML settings file.
    """
    from recall_uploader.hook.claude_code import hook_command
    from recall_uploader.hook.install import install as run_install
    from recall_uploader.program import program_path
    from recall_wire.service.program import absolute

    file = _file(agent, settings)
    outcome = run_install(file, hook_command(program_path(), absolute(state_dir), absolute(config)))
    warn([outcome.note] if outcome.note else [])
    print_result(f"{file.path}: {'the hook is installed' if outcome.changed else 'nothing to do'}")
    return 0


@app.command
def uninstall(agent: Agent = "claude-code", *, settings: Path | None = None) -> int:
    """Take the hook out of an agent's settings again.

    Parameters
    ----------
    agent
        claude-code.
    settings
        Its settings file; without it, settings.json in $CLAUDE_CONFIG_DIR or ~/.claude.
    """
    from recall_uploader.hook.install import uninstall as run_uninstall

    file = _file(agent, settings)
    outcome = run_uninstall(file)
    warn([outcome.note] if outcome.note else [])
    print_result(f"{file.path}: {'the hook is gone' if outcome.changed else 'nothing to do'}")
    return 0


def _file(agent: Agent, settings: Path | None) -> SettingsFile:
    from recall_uploader.hook.claude_code import settings_path
    from recall_uploader.hook.settings_file import SettingsFile

    del agent  # one so far
    return SettingsFile((settings or settings_path(os.environ)).expanduser())
