"""A whole hub in the event loop of a test, as `recalld run` has one in its process."""

from __future__ import annotations

from recall_daemon import daemon
from recall_daemon.core import open_core
from recall_daemon.daemon import Announce
from recall_daemon.settings import HubSettings


async def run(settings: HubSettings, *, announce: Announce) -> None:
    """Until it is cancelled, or told to stop by a signal."""
    with open_core(settings) as core:
        core.begin()
        await daemon.run(core, announce=announce)
