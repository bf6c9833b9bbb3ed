"""The log shipped while somebody waits, who cannot wait for a bucket that is away."""

from __future__ import annotations

import asyncio

import structlog

from recall_daemon.backup.log import LogShipper
from recall_wire.errors import RecallError

log = structlog.get_logger(__name__)

WITHIN_S = 5.0


class PromptShipping:
    """Ships on request. One shipping goes at a time, and all that wait share it; from one loop."""

    def __init__(self, shipper: LogShipper, *, within_s: float = WITHIN_S) -> None:
        self._shipper = shipper
        self._within_s = within_s
        self._running: asyncio.Task[None] | None = None

    async def __call__(self) -> None:
        """Have what is in the journal in the bucket's log, or leave it to the job `log`.

        Returns when it is there, when the bucket refused, or after `within_s`; never raises.
        """
        try:
            async with asyncio.timeout(self._within_s):
                if self._running is not None:
                    await asyncio.shield(self._running)  # it may have looked before this was there
                if self._running is None or self._running.done():
                    self._running = asyncio.create_task(self._ship())
                await asyncio.shield(self._running)
        except TimeoutError:
            log.warning("log.not_shipped", error=f"not within {self._within_s:g} s")

    async def _ship(self) -> None:
        try:
            await asyncio.to_thread(self._shipper.ship_now)
        except RecallError as error:
            log.warning("log.not_shipped", error=str(error))
