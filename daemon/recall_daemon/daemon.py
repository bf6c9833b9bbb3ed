"""`recalld run`: server, poll beat, index and backlog side by side, until a signal says stop."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import threading
from collections.abc import Callable, Coroutine
from dataclasses import replace

import structlog

from recall_daemon import logs
from recall_daemon.agents.upkeep import reconcile
from recall_daemon.app import Hub, open_hub
from recall_daemon.core import Core
from recall_daemon.embed.base import Embedder
from recall_daemon.gauges import Gauges
from recall_daemon.index.health import health
from recall_daemon.ingest.pipeline import PollReport
from recall_daemon.loop import Beat, poll_safely
from recall_daemon.metrics import BREAKER_OPEN, POLL_SECONDS, POLLS, timed
from recall_daemon.operations import Json
from recall_daemon.patient import patient_thread
from recall_daemon.serve.connections import raise_file_limit
from recall_daemon.serve.dashboard import mount as pages
from recall_daemon.serve.dashboard.dashboard import Dashboard
from recall_daemon.serve.local_token import local_token
from recall_daemon.serve.rate import Rate
from recall_daemon.serve.routes import make_app
from recall_daemon.serve.server import Server, bind, say_terms, terms_of, url_of
from recall_daemon.service import notify
from recall_daemon.service.heartbeat import Follower, Heartbeat, Writer
from recall_daemon.service.reload import Reload
from recall_daemon.settings import HubSettings
from recall_daemon.store import events, reconciling
from recall_wire.errors import RecallError, TerminalError, TransientError

log = structlog.get_logger(__name__)

ERROR_MAX_CHARS = 1_000

# Between two looks for texts to embed: those of a batch cost less than each by itself.
EMBED_PAUSE_S = 1.0

Announce = Callable[[str], None]
Load = Callable[[], HubSettings]


class Daemon:
    """The tasks of a running hub. Each waits for its own event; none polls for work."""

    def __init__(self, hub: Hub, merged: asyncio.Event) -> None:
        self._hub = hub
        self._merged = merged
        self._to_embed = asyncio.Event()
        self._lacking = asyncio.Event()
        self._stopping = False
        self._poll_interval_s = hub.core.settings.poll_interval_s
        self._polling = Beat(self._poll_interval_s, self._poll, sleep=asyncio.sleep)
        self._catching_up = threading.Lock()
        self._patient = patient_thread("embed")
        self._attempts = 0
        self.answers = asyncio.Event()  # searches: the index was followed once, or it was tried
        self._followed = False
        self._index_failure: str | None = None
        self._embed_failure: str | None = None
        self._poll_failure: str | None = None
        self._report = PollReport()
        self._gauges = Gauges(hub, self.ready)

    def tasks(self) -> list[Callable[[], Coroutine[None, None, None]]]:
        return [
            self._polling.run,
            self._follow,
            self._fetch_words,
            self._embed,
            self._hub.jobs.schedule,
        ]

    def stop(self) -> None:
        """Have the embedding thread and the jobs end after their present step, and the streams of
        events at once."""
        self._stopping = True
        self._patient.shutdown(wait=False)
        self._hub.jobs.stop()
        self._hub.pull.stop()
        self._hub.subscribers.close()
        self._hub.shared.locks.stop()

    def take_up(self, settings: HubSettings) -> None:
        """Poll as these settings say. From the event loop."""
        self._poll_interval_s = settings.poll_interval_s
        self._polling.change(self._poll_interval_s)

    def following(self) -> object:
        """None while the index has nothing to follow, else what differs after each of its steps."""
        if not self._catching_up.locked():
            return None
        return self._attempts, self._hub.core.index.counts

    def says(self) -> str:
        """The hub's state in a few words."""
        state = self.ready()
        wrong = [f"{part}: {why}" for part, why in state["parts"].items() if why[:2] != "ok"]
        return f"degraded: {'; '.join(wrong)}" if wrong else "all parts are well"

    async def _poll(self) -> None:
        patience_s = self._poll_interval_s
        with timed(POLL_SECONDS):
            self._report = await poll_safely(lambda: self._hub.poll_as_owner(patience_s))
        POLLS.labels(self._report.outcome).inc()
        BREAKER_OPEN.labels("bucket").set(self._report.outcome == "failed")
        self._tell_of_poll("; ".join(self._report.errors[:3]) or None)
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
            self.answers.set()
            self._to_embed.set()
            if self._hub.core.index.counts.lacking_rows:
                self._lacking.set()

    def _catch_up(self) -> None:
        """A failure is told once: the next merge, or the next poll, has it follow from here.

        What it did take in serves. A terminal failure is no reason to end, either: the next start
        would meet the same, and answer nothing.
        """
        with self._catching_up:
            self._attempts += 1
            try:
                with self._hub.lags.reaching("words"):
                    self._hub.core.follow()
                self._followed, self._index_failure = True, None
            except (TransientError, TerminalError) as error:
                if self._stopping:  # it is closed under this: no failure to tell anybody of
                    return
                self._index_failure = self._told_once("index.failed", error, self._index_failure)

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
                await self._embed_all()
                self._embed_failure = None
            except (TransientError, TerminalError) as error:
                # The backlog is derived from the store: the next poll wakes this up again.
                self._embed_failure = self._told_once(
                    "embedding.failed", error, self._embed_failure
                )
            await asyncio.sleep(EMBED_PAUSE_S)

    async def _embed_all(self) -> None:
        embedder = await asyncio.to_thread(self._hub.core.embedder.get)
        if embedder is not None:
            await asyncio.to_thread(self._catch_up)
            loop = asyncio.get_running_loop()
            await loop.run_in_executor(self._patient, self._drain, embedder)

    def _drain(self, embedder: Embedder) -> None:
        with self._hub.lags.reaching("vectors"):
            self._hub.backlog.keep_up(embedder, stop=lambda: self._stopping)

    def _told_once(self, event: str, error: RecallError, before: str | None) -> str:
        """Logs and tells a failure that is not the one before; returns what it says."""
        said = str(error)
        if said != before:
            log.warning(event, error=said)
            self._tell(event, said)
        return said

    def _tell_of_poll(self, failure: str | None) -> None:
        """Logged where it happened; told as an event when it changes."""
        if failure is not None and failure != self._poll_failure:
            self._tell("poll.failed", failure)
        self._poll_failure = failure

    def _tell(self, what: str, said: str) -> None:
        """As an event, for those who follow; the store may be what failed, and the log has it."""
        core = self._hub.core
        body = {"what": what, "error": said[:ERROR_MAX_CHARS]}
        with contextlib.suppress(RecallError):
            core.store.submit(lambda c: events.append(c, "error", None, body, core.now()))

    def ready(self) -> Json:
        """Ready once the index holds the store; degraded while a part is away, with its reason."""
        embedder = self._hub.core.embedder
        parts = {
            "index": self._index_health(),
            "model": self._embed_failure or "ok" if embedder.space_id() else embedder.why_not,
            "bucket": "; ".join(self._report.errors[:3]) or "ok",
            "disk": self._hub.pipeline.disk_problem() or "ok",
            "consistency": self._consistency(),
        }
        degraded = any(not reason.startswith("ok") for reason in parts.values())
        return {"ready": self._followed, "degraded": degraded, "parts": parts}

    def _consistency(self) -> str:
        try:
            with self._hub.core.store.look_up() as connection:
                return reconcile.health(reconciling.standing(connection))
        except RecallError as error:
            return str(error)

    def _index_health(self) -> str:
        core = self._hub.core
        return health(
            core.index.counts,
            core.feed.last_change(),
            followed=self._followed,
            failure=self._index_failure,
        )


async def run(
    core: Core,
    *,
    announce: Announce,
    on_stop: Callable[[], None] = lambda: None,
    load: Load | None = None,
) -> None:
    """Run the hub until SIGTERM or SIGINT, which `on_stop` is told at once. `core` stays open.

    `announce` gets the address once it answers. At SIGHUP the settings that `load` gives are taken
    up, as far as a running hub can.
    """
    raise_file_limit()
    settings = core.settings
    with (
        bind(settings, has_token=core.tokens.any) as listener,
        local_token(settings.data_dir) as secret,
    ):
        loop = asyncio.get_running_loop()
        merged, stop, hang_up = asyncio.Event(), asyncio.Event(), asyncio.Event()

        def told_to_stop() -> None:
            on_stop()
            notify.notify(notify.STOPPING)
            stop.set()

        for name in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(name, told_to_stop)
        loop.add_signal_handler(signal.SIGHUP, hang_up.set)
        async with open_hub(core, on_merged=_waker(loop, merged)) as hub:
            daemon, rate = Daemon(hub, merged), Rate(settings.rate_per_minute)
            app = make_app(
                core.operations,
                daemon.ready,
                hub.pushes,
                hub.jobs,
                hub.archive,
                forgetting=hub.forgetting,
                pull=hub.pull,
                memories=hub.memory_parts(),
                shared=hub.shared,
                subscribers=hub.subscribers,
                tokens=core.tokens,
                terms=replace(terms_of(settings, secret), rate=rate),
            )
            if settings.dashboard:
                pages.install(app, Dashboard.of(hub))
            server = Server(app, listener, settings)
            say_terms(settings, in_force=core.tokens.in_force)
            _announce(core, url_of(listener, tls=settings.tls_cert is not None), announce)
            reload = Reload(hub, load or (lambda: settings), check=server.reload_tls)
            reload.parts[frozenset({"poll_interval_s"})] = daemon.take_up
            reload.parts[frozenset({"rate_per_minute"})] = lambda new: rate.change(
                new.rate_per_minute
            )
            reload.parts[frozenset({"log_level"})] = lambda new: logs.set_level(new.log_level)
            life = _Life(core, daemon, server, reload, hang_up)
            try:
                await _until(stop, daemon, server, life)
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


class _Life:
    """What systemd is told beside all work, and the reloads that it asks for."""

    def __init__(
        self, core: Core, daemon: Daemon, server: Server, reload: Reload, hang_up: asyncio.Event
    ) -> None:
        self._daemon = daemon
        self._server = server
        self._reload = reload
        self._hang_up = hang_up
        self._heart = Heartbeat(
            Writer(core.store), Follower(daemon.following), says=daemon.says, sleep=asyncio.sleep
        )

    def tasks(self) -> list[Callable[[], Coroutine[None, None, None]]]:
        return [self._heart.run, self._say_ready]

    async def _say_ready(self) -> None:
        """Once searches are answered; then reload whenever somebody asks for it."""
        await self._daemon.answers.wait()
        await self._server.answers.wait()
        self._heart.ready.set()
        while True:
            notify.notify(notify.READY, notify.status(self._daemon.says()))
            await self._hang_up.wait()
            self._hang_up.clear()
            notify.notify(*notify.reloading())
            await self._reload()


async def _until(stop: asyncio.Event, daemon: Daemon, server: Server, life: _Life) -> None:
    async with asyncio.TaskGroup() as group:
        serving = group.create_task(server.run_until_stopped())
        working = [group.create_task(step()) for step in [*daemon.tasks(), *life.tasks()]]
        await stop.wait()
        log.info("hub.stopping")
        daemon.stop()
        for task in working:
            task.cancel()
        server.stop()
        await serving
