"""The program `recalld` itself: its app, common options, and whom a command talks to."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import App, CycloptsError, Parameter
from rich.console import Console

from recall_daemon import logs
from recall_daemon.errors import MemoryInvalid
from recall_daemon.hub_api import HubApi, Json
from recall_daemon.settings import load_settings
from recall_wire.errors import RecallError
from recall_wire.exits import (
    INTERRUPTED,
    READER_GONE,
    REFUSED,
    code_of,
    is_reader_gone,
    say,
    sentence_of,
)

if TYPE_CHECKING:
    from recall_daemon.agents.acting import ActingApi
    from recall_daemon.agents.api import AgentsApi
    from recall_daemon.core import Core

app = App(
    name="recalld",
    help="The hub: pulls memories from a bucket, merges and embeds them, answers searches.",
    version=lambda: version("recalld"),
    help_format="plaintext",
    suppress_keyboard_interrupt=False,
)

Config = Annotated[Path | None, Parameter(name="--config", help="A YAML settings file.")]
Fence = Annotated[int | None, Parameter(help="Of the lock on the memory, while there is one.")]
AsJson = Annotated[bool, Parameter(name="--json", negative="", help="Print JSON.")]
# As text: `-` is standard input.
Text = Annotated[str, Parameter(allow_leading_hyphen=True)]


@Parameter(name="*")
@dataclass(frozen=True)
class Speaker:
    """For whom a command acts. Without an agent: for whoever may do everything."""

    agent: str | None = None
    "Speak for this agent: its rules say what may be seen and changed."

    user: str | None = None
    "Of this user."

    session: str | None = None
    "In this session: a lock is held by one agent of one user in one session."


NOBODY = Speaker()


def main() -> None:
    """Entry point: one sentence for what a person can mend, never a traceback for bad input."""
    logs.set_up()
    sys.exit(_run(sys.argv[1:]))


def _run(arguments: Sequence[str]) -> int:
    try:
        code = app(
            list(arguments), exit_on_error=False, print_error=False, result_action="return_value"
        )
        sys.stdout.flush()
    except CycloptsError as error:
        return say("recalld", str(error), REFUSED)
    except (RecallError, OSError, SystemExit) as error:
        if is_reader_gone(error):
            return READER_GONE
        if isinstance(error, SystemExit):
            raise
        return say("recalld", sentence_of(error), code_of(error))
    except KeyboardInterrupt:
        return INTERRUPTED
    return code if isinstance(code, int) else 0


@contextmanager
def open_hub_api(config: Path | None, *, searching: bool = True) -> Iterator[HubApi]:
    """The daemon that runs on the data folder, through its port; without one, the store itself:
    with model and index, where the command is one that needs them."""
    from recall_daemon.remote import find_hub

    settings = load_settings(config)
    hub = find_hub(settings.data_dir)
    if hub is not None:
        with closing(hub):
            yield hub
        return
    from recall_daemon.core import open_core

    with open_core(settings) as core:
        if searching:
            make_searchable(core)
        yield core.operations


@contextmanager
def open_agents(config: Path | None) -> Iterator[AgentsApi]:
    """The agents' side of the daemon that runs; without one, of the store itself."""
    from recall_daemon.remote import find_hub

    settings = load_settings(config)
    hub = find_hub(settings.data_dir)
    if hub is not None:
        with closing(hub):
            yield hub.agents
        return
    from recall_daemon.agents.api import AgentsHere
    from recall_daemon.core import open_core

    with open_core(settings) as core:
        # The index follows when somebody searches next.
        posts = core.posts(lambda: None)
        yield AgentsHere(core.shared(posts, lambda: None))


@contextmanager
def open_acting(
    config: Path | None, speaker: Speaker, *, searching: bool = False
) -> Iterator[ActingApi]:
    """As `open_agents`, for what a speaker does. Raises `AgentInvalid` for one that can be none."""
    from recall_daemon.access.caller import LOCAL
    from recall_daemon.agents.actor import actor_for
    from recall_daemon.remote import find_hub

    actor = actor_for(LOCAL, speaker.agent, speaker.user, speaker.session)
    settings = load_settings(config)
    hub = find_hub(settings.data_dir)
    if hub is not None:
        with closing(hub):
            yield hub.acting(actor)
        return
    from recall_daemon.agents.acting import ActingHere
    from recall_daemon.core import open_core

    with open_core(settings) as core:
        if searching:
            make_searchable(core)
        yield ActingHere(core.shared(core.posts(lambda: None), lambda: None), actor)


def make_searchable(core: Core) -> None:
    """What the daemon does beside everything else."""
    core.embedder.get()
    core.follow()
    core.fetch_words()


def given_text(text: str) -> str:
    """What is read for `-`. An option that was mistyped is no text."""
    if text == "-":
        return sys.stdin.read()
    if text.startswith("-"):
        raise MemoryInvalid(
            f"{text[:40]!r} is no option", hint="a text that begins so is read with `-`"
        )
    return text


def print_answer(answer: Json, as_json: bool, table: Callable[[Console], None]) -> None:
    if as_json:
        print(json.dumps(answer, ensure_ascii=False))
    else:
        table(Console(highlight=False))


def print_told(answer: Json, as_json: bool) -> None:
    """What a change came to, a field a line."""
    from recall_daemon.tables import print_fields

    print_answer(answer, as_json, lambda console: print_fields(console, answer))
