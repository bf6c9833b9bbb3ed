"""`recalld run`: server, poll beat, index and backlog side by side, until a signal says stop."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import threading
from collections.abc import Callable, Coroutine

import structlog

from recall_daemon.app import Core, Hub, open_core, open_hub
from recall_daemon.gauges import Gauges
from recall_daemon.index.health import health
from recall_daemon.ingest.pipeline import PollReport
from recall_daemon.loop import every, poll_safely
from recall_daemon.metrics import BREAKER_OPEN, POLL_SECONDS, POLLS, timed
from recall_daemon.operations import Json
from recall_daemon.serve.connections import raise_file_limit
from recall_daemon.serve.local_token import local_token
from recall_daemon.serve.routes import make_app
from recall_daemon.serve.server import Server, bind, say_terms, terms_of, url_of
from recall_daemon.settings import HubSettings
from recall_wire.errors import RecallError, TerminalError, TransientError

log = structlog.get_logger(__name__)

Announce = Callable[[str], None]


class Daemon:
    """The tasks of a running hub. Each waits for its own event; none polls for work."""

    def __init__(self, hub: Hub, merged: asyncio.Event) -> None:
        self._hub = hub
        self._merged = merged
        self._to_embed = asyncio.Event()
        self._lacking = asyncio.Event()
        self._stopping = False
        self._catching_up = threading.Lock()
        self._followed = False
        self._index_failure: str | None = None
        self._embed_failure: str | None = None
        self._report = PollReport()
        self._gauges = Gauges(hub, self.ready)

    def tasks(self) -> list[Callable[[], Coroutine[None, None, None]]]:
        return [self._beat, self._follow, self._fetch_words, self._embed, self._hub.jobs.schedule]

    def stop(self) -> None:
        """Have the embedding thread and the jobs end after their present step."""
        self._stopping = True
        self._hub.jobs.stop()

    async def _beat(self) -> None:
        interval_s = self._hub.core.settings.poll_interval_s
        await every(interval_s, self._poll, sleep=asyncio.sleep)

    async def _poll(self) -> None:
        patience_s = self._hub.core.settings.poll_interval_s
        with timed(POLL_SECONDS):
            self._report = await poll_safely(lambda: self._hub.poll_as_owner(patience_s))
        POLLS.labels(self._report.outcome).inc()
        BREAKER_OPEN.labels("bucket").set(self._report.outcome == "failed")
        await asyncio.to_thread(self._gauges.refresh)
        await self._hub.pushes.expire()
        self._merged.set()
        self._to_embed.set()

    async def _follow(self) -> None:
        """The index follows each merge at once: words are found before their vectors."""
        self._merged.set()
        while True:
            await self._merged.wait()
            self._merged.clear()
            await asyncio.to_thread(self._catch_up)
            if self._hub.core.index.counts.lacking_rows:
                self._lacking.set()

    def _catch_up(self) -> None:
        """A failure is told once: the next merge, or the next poll, has it follow from here.

        What it did take in serves. A terminal failure is no reason to end, either: the next start
        would meet the same, and answer nothing.
        """
        with self._catching_up:
            try:
                with self._hub.lags.reaching("words"):
                    self._hub.core.follow()
                self._followed, self._index_failure = True, None
            except (TransientError, TerminalError) as error:
                self._index_failure = _told_once("index.failed", error, self._index_failure)

    async def _fetch_words(self) -> None:
        """The words of cold rows, which take as long as the bucket does, beside all else."""
        while True:
            await self._lacking.wait()
            self._lacking.clear()
            try:
                await asyncio.to_thread(self._hub.core.fetch_words)
            except (TransientError, TerminalError) as error:
                log.warning("index.words_failed", error=str(error))

    async def _embed(self) -> None:
        self._to_embed.set()
        while True:
            await self._to_embed.wait()
            self._to_embed.clear()
            try:
                await asyncio.to_thread(self._drain)
                self._embed_failure = None
            except (TransientError, TerminalError) as error:
                # The backlog is derived from the store: the next poll wakes this up again.
                self._embed_failure = _told_once("embedding.failed", error, self._embed_failure)

    def _drain(self) -> None:
        embedder = self._hub.core.embedder.get()
        if embedder is not None:
            self._catch_up()
            with self._hub.lags.reaching("vectors"):
                self._hub.backlog.drain(embedder, stop=lambda: self._stopping)

    def ready(self) -> Json:
        """Ready once the index holds the store; degraded while a part is away, with its reason."""
        embedder = self._hub.core.embedder
        parts = {
            "index": self._index_health(),
            "model": self._embed_failure or "ok" if embedder.space_id() else embedder.why_not,
            "bucket": "; ".join(self._report.errors[:3]) or "ok",
            "disk": self._hub.pipeline.disk_problem() or "ok",
        }
        degraded = any(not reason.startswith("ok") for reason in parts.values())
        return {"ready": self._followed, "degraded": degraded, "parts": parts}

    def _index_health(self) -> str:
        core = self._hub.core
        return health(
            core.index.counts,
            core.feed.last_change(),
            followed=self._followed,
            failure=self._index_failure,
        )


def _told_once(event: str, error: RecallError, before: str | None) -> str:
    """Logs a failure that is not the one before; returns what it says."""
    said = str(error)
    if said != before:
        log.warning(event, error=said)
    return said


async def run(
    settings: HubSettings, *, announce: Announce, on_stop: Callable[[], None] = lambda: None
) -> None:
    """Run the hub until SIGTERM or SIGINT, which `on_stop` is told at once.

    `announce` gets the address once it answers.
    """
    raise_file_limit()
    with (
        open_core(settings) as core,
        bind(settings, has_token=core.tokens.any) as listener,
        local_token(settings.data_dir) as secret,
    ):
        loop = asyncio.get_running_loop()
        merged, stop = asyncio.Event(), asyncio.Event()

        def told_to_stop() -> None:
            on_stop()
            stop.set()

        for name in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(name, told_to_stop)
        async with open_hub(core, on_merged=_waker(loop, merged)) as hub:
            daemon = Daemon(hub, merged)
            app = make_app(
                core.operations,
                daemon.ready,
                hub.pushes,
                hub.jobs,
                hub.archive,
                forgetting=hub.forgetting,
                tokens=core.tokens,
                terms=terms_of(settings, secret),
            )
            server = Server(app, listener, settings)
            say_terms(settings, in_force=core.tokens.in_force)
            _announce(core, url_of(listener, tls=settings.tls_cert is not None), announce)
            try:
                await _until(stop, daemon, server)
            except ExceptionGroup as group:
                # One task's end is the end of all; a person gets its reason, not a tree.
                raise _first(group) from group


def _first(group: ExceptionGroup[Exception]) -> Exception:
    error = group.exceptions[0]
    return _first(error) if isinstance(error, ExceptionGroup) else error


def _waker(loop: asyncio.AbstractEventLoop, event: asyncio.Event) -> Callable[[], None]:
    """Sets the event from whichever thread calls."""

    def wake() -> None:
        with contextlib.suppress(RuntimeError):  # the loop has closed: nothing is left to wake
            loop.call_soon_threadsafe(event.set)

    return wake


def _announce(core: Core, url: str, announce: Announce) -> None:
    core.lock.announce(url)
    announce(url)
    log.info("hub.started", url=url, bucket=core.settings.bucket_url)


async def _until(stop: asyncio.Event, daemon: Daemon, server: Server) -> None:
    async with asyncio.TaskGroup() as group:
        serving = group.create_task(server.run_until_stopped())
        working = [group.create_task(step()) for step in daemon.tasks()]
        await stop.wait()
        log.info("hub.stopping")
        daemon.stop()
        for task in working:
            task.cancel()
        server.stop()
        await serving
