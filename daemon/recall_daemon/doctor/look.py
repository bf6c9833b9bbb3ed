"""What the checks look at: the daemon that runs, through its port; without one, the store."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from recall_daemon.hub_api import HubApi
from recall_daemon.remote import RemoteHub, find_hub
from recall_daemon.settings import HubSettings
from recall_daemon.store.store import FILE_NAME
from recall_wire.doctor.finding import Finding, failed, note
from recall_wire.errors import RecallError

if TYPE_CHECKING:
    from recall_daemon.core import Core


@dataclass(frozen=True)
class Limit:
    """A moment on the monotonic clock."""

    at_s: float

    @property
    def left_s(self) -> float:
        return self.at_s - time.monotonic()


@dataclass(frozen=True)
class Look:
    """One examination. `origins`: where each setting that is not the default came from.

    `hub` answers: the `daemon` that runs, or the `core` that this process holds; where neither
    is to be had, `why_not` says why.
    """

    settings: HubSettings
    settings_file: Path | None
    origins: Mapping[str, str]
    now: Callable[[], datetime]
    hub: HubApi | None = None
    daemon: RemoteHub | None = None
    core: Core | None = None
    why_not: Finding | None = None


@contextmanager
def opened(bare: Look) -> Iterator[Look]:
    """The look with a hub that answers; the store is held meanwhile where no daemon does."""
    folder = bare.settings.data_dir
    try:
        daemon = find_hub(folder)
    except RecallError as error:
        yield replace(bare, why_not=failed("store", error))
        return
    if daemon is not None:
        yield replace(bare, hub=daemon, daemon=daemon)
    elif not (folder / FILE_NAME).exists():
        remedy = "`recalld run` makes it; `recalld restore` brings one back from the bucket"
        yield replace(bare, why_not=note("store", f"there is none in {folder} yet", remedy))
    else:
        with ExitStack() as held:
            yield _holding(bare, held)


def _holding(bare: Look, held: ExitStack) -> Look:
    from recall_daemon.core import open_core

    try:
        core = held.enter_context(open_core(bare.settings, now=bare.now))
        core.follow()
    except RecallError as error:
        return replace(bare, why_not=failed("store", error))
    return replace(bare, hub=core.operations, core=core)
