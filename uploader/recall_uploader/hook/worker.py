"""The process that outlives the session: one upload for all notes there are, then it ends."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import sys
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path

from recall_uploader.hook import request
from recall_uploader.hook.detach import LOCK_DESCRIPTOR, LOG_FILE
from recall_uploader.hook.log import Log

# Agents that end together are one upload. At most ten times as long, however many there are.
SETTLE_S = 1.0
_SETTLES = 10
# For everything but an upload: reading settings, settling, listing.
_IDLE_LIMIT_S = 60.0
_MARGIN_S = 15.0

RunUpload = Callable[[Path | None], str]


def main() -> None:
    """Started by `detach`, which hands over the lock."""
    folder = Path(sys.argv[1])
    limit(_IDLE_LIMIT_S)
    os.set_inheritable(LOCK_DESCRIPTOR, False)
    log = Log(folder / LOG_FILE)
    try:
        Worker(folder, LOCK_DESCRIPTOR, log, run_upload).run()
    except OSError as error:
        log.say(f"the worker ends: {_sentence(error)}")
    # The lock is free, so another may run already: what a library still has to end is not waited
    # for.
    os._exit(0)


def limit(seconds: float) -> None:
    """From now on this process lives for so long: the kernel ends it, whatever hangs."""
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGALRM})
    signal.setitimer(signal.ITIMER_REAL, seconds)


def run_upload(config: Path | None) -> str:
    """Upload what is new of all sources; what came of it as a sentence. Raises `RecallError`."""
    from dataclasses import replace

    from recall_uploader.app import build
    from recall_uploader.commands.upload import QUEUED, sentence
    from recall_uploader.deadline import GRACE_S, last_resort
    from recall_uploader.everything import upload_everything
    from recall_uploader.settings import load_settings

    settings = load_settings(config)
    if not settings.upload_on_session_end:
        return "nothing is uploaded: upload_on_session_end is false"
    # Whoever holds the state folder may have read the sources before this session ended.
    wait_s = max(settings.lock_wait_s, settings.upload_timeout_s / 2)
    patient = settings.model_copy(update={"lock_wait_s": wait_s})

    def guard(limit_s: float) -> AbstractContextManager[None]:
        limit(wait_s + limit_s + GRACE_S + _MARGIN_S)
        return last_resort(wait_s + limit_s, QUEUED)

    result = upload_everything(replace(build(settings, guard=guard), settings=patient))
    return "; ".join([sentence(result), *result.warnings])


@dataclass(slots=True)
class Worker:
    """Takes all notes, uploads, deletes them. Killed at any point, it leaves them for the next.

    A note that was tried is deleted, failed or not: what is not delivered lies in the outbox or
    is still in its source, and neither is helped by trying again at once.
    """

    folder: Path
    lock: int
    log: Log
    upload: RunUpload
    sleep: Callable[[float], None] = time.sleep
    _tried: set[str] = field(default_factory=set)

    def run(self) -> None:
        """Returns with the lock free, and no note there that nobody will read."""
        while True:
            while paths := self._settled():
                self._take(paths)
            fcntl.flock(self.lock, fcntl.LOCK_UN)
            # A hook that came just before found the lock taken, and relies on this process.
            if not self._waiting() or not self._lock_again():
                return

    def _lock_again(self) -> bool:
        """False: the next hook was faster, and its worker takes the note."""
        try:
            fcntl.flock(self.lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def _settled(self) -> list[str]:
        """The notes, when none has come for a while."""
        limit(_IDLE_LIMIT_S)
        paths = self._waiting()
        for _ in range(_SETTLES if paths else 0):
            self.sleep(SETTLE_S)
            before, paths = paths, self._waiting()
            if paths == before:
                break
        return paths

    def _waiting(self) -> list[str]:
        return [path for path in request.waiting(str(self.folder)) if path not in self._tried]

    def _take(self, paths: list[str]) -> None:
        self._tried.update(paths)
        notes = [_read(path) for path in paths]
        reasons = [reason_in(said) for _, said in notes]
        for config in dict.fromkeys(config for config, _ in notes):
            self._upload(Path(config) if config else None, reasons)
        for path in paths:
            request.delete(path)
        request.delete_parts(str(self.folder), time.time())

    def _upload(self, config: Path | None, reasons: list[str]) -> None:
        ended = f"{len(reasons)} ended ({', '.join(sorted(set(reasons)))})"
        try:
            self.log.say(f"{ended}: {self.upload(config)}")
        except Exception as error:
            self.log.say(f"{ended}: not uploaded: {_sentence(error)}")


def _read(path: str) -> tuple[str, bytes]:
    """A note that cannot be read is still a session that ended."""
    try:
        return request.read_request(path)
    except OSError:
        return "", b""


def reason_in(said: bytes) -> str:
    """Why the session ended, as the agent put it; `unknown` where it said nothing readable."""
    try:
        value = json.loads(said)
    except (ValueError, RecursionError):
        return "unknown"
    reason = value.get("reason") if isinstance(value, dict) else None
    named = isinstance(reason, str) and reason.isidentifier() and len(reason) <= 40
    return str(reason) if named else "unknown"


def _sentence(error: Exception) -> str:
    """What is not ours may carry anything in its words, so only its kind and place are told."""
    from recall_wire.errors import RecallError

    if isinstance(error, RecallError):
        return str(error)
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    place = f"{Path(trace.tb_frame.f_code.co_filename).name}:{trace.tb_lineno}" if trace else "?"
    return f"unexpected {type(error).__name__} at {place}"


if __name__ == "__main__":
    main()
