"""What lies on this machine: settings, state folder, outbox."""

from __future__ import annotations

import fcntl
import os
import shutil
import stat
from collections.abc import Iterator, Sequence
from contextlib import suppress
from datetime import datetime
from pathlib import Path

from recall_uploader.doctor.look import Look
from recall_uploader.errors import SystemClash
from recall_uploader.identity import check_machine
from recall_uploader.outbox_run import Item, items
from recall_uploader.state_file import STATE_FILE
from recall_uploader.status import ways
from recall_wire.doctor.finding import Finding, failed, note, ok, problem, warning
from recall_wire.errors import RecallError
from recall_wire.sizes import age_text, bytes_text

FREE_MIN_BYTES = 1 << 30
_NEAR = 0.8
_WAYS = {"cloud": "the bucket", "http": "the hub"}


def settings(look: Look) -> Iterator[Finding]:
    """They loaded, or there would be no examination."""
    file, given = look.settings_file, look.instance.settings
    yield ok("settings", f"read from {file}" if file else "from the environment and the defaults")
    if file is not None and _others_may_read(file) and _holds_secret(look):
        yield warning(
            "settings", f"{file} holds a secret and others may read it", f"chmod 600 {file}"
        )
    if not given.redact:
        yield warning(
            "redaction",
            "secrets in memories are sent as they are: redact is false",
            "set redact to true, and list what must stay readable under redact_allow",
        )
    else:
        yield ok("redaction", "secrets are replaced before anything leaves this machine")


def state_folder(look: Look) -> Iterator[Finding]:
    folder = look.instance.folder
    if not folder.exists():
        yield from _not_yet(folder)
        return
    if not folder.is_dir() or not os.access(folder, os.W_OK | os.X_OK):
        yield problem(
            "state",
            f"the state folder {folder} cannot be written",
            "see to its owner and mode, or set RECALL_STATE_DIR to a folder of yours",
        )
        return
    said = [*_mode(folder), *_space(folder), *_lock(look), *_state(look)]
    yield from said
    if all(item.level in ("ok", "note") for item in said):
        free = bytes_text(shutil.disk_usage(folder).free)
        yield ok("state", f"{folder}, {free} free")


def outbox(look: Look) -> Iterator[Finding]:
    found = items(look.instance)
    yield from _waiting(look, [item for item in found if item.where != "failed"])
    failed_count = sum(item.where == "failed" for item in found)
    if failed_count:
        yield note(
            "outbox",
            f"{failed_count} snapshots that were taken out lie in failed/",
            "`recall outbox list` says why; their rows were sent again, so they may be deleted",
        )
    yield from _breakers(look)


def _not_yet(folder: Path) -> Iterator[Finding]:
    parent = next(path for path in folder.parents if path.exists())
    if not parent.is_dir() or not os.access(parent, os.W_OK | os.X_OK):
        yield problem(
            "state",
            f"the state folder {folder} is not there and cannot be made",
            "set RECALL_STATE_DIR to a folder of yours",
        )
        return
    yield from _space(parent)
    yield note(
        "state", f"{folder} is not there yet", "`recall init`, or the first upload, makes it"
    )


def _mode(folder: Path) -> Iterator[Finding]:
    status = folder.stat()
    if status.st_uid != os.geteuid():
        yield warning("state", f"{folder} belongs to another user", "run recall as its owner")
    elif _others_may_read(folder):
        yield warning(
            "state", f"others on this machine may look into {folder}", f"chmod 700 {folder}"
        )


def _space(folder: Path) -> Iterator[Finding]:
    free = shutil.disk_usage(folder).free
    if free < FREE_MIN_BYTES:
        yield warning(
            "state",
            f"only {bytes_text(free)} are free where {folder} lies: sources are copied there and "
            "snapshots wait there",
            "make room, or move it with RECALL_STATE_DIR",
        )


def _lock(look: Look) -> Iterator[Finding]:
    if is_locked(look.instance.folder):
        limit_s = look.instance.settings.upload_timeout_s
        yield note(
            "state",
            "another recall run is at work in it right now",
            f"it ends within {limit_s:g} s; where this stays so, see which `recall` processes run",
        )


def is_locked(folder: Path) -> bool:
    """Whether a run holds the state folder at this moment; it is not held up by the question."""
    try:
        descriptor = os.open(folder / "lock", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def _state(look: Look) -> Iterator[Finding]:
    path = look.instance.folder / STATE_FILE
    try:
        with look.state() as state:
            if state is not None:
                check_machine(state, look.instance.machine, look.instance.settings.system_id)
                yield ok("system", f"{state.identity.system_id}, on this machine")
            elif path.exists() and path.stat().st_size:
                yield warning(
                    "state",
                    f"{path} is damaged",
                    "nothing to do: the next upload sets it aside and sends everything once more",
                )
    except SystemClash as error:
        yield failed("system", error)
    except RecallError as error:
        yield failed("state", error)


def _waiting(look: Look, waiting: Sequence[Item]) -> Iterator[Finding]:
    if not waiting:
        yield ok("outbox", "nothing waits")
        return
    given = look.instance.settings
    bytes_ = sum(item.bytes for item in waiting)
    oldest = min((item.created_at for item in waiting if item.created_at), default=None)
    says = f"{len(waiting)} snapshots wait, {bytes_text(bytes_)}"
    says += f", the oldest for {age_text(look.instance.clock() - oldest)}" if oldest else ""
    full = bytes_ / given.outbox_max_bytes
    if full >= _NEAR:
        yield warning(
            "outbox",
            f"{says}: {full:.0%} of outbox_max_bytes; when it is full, what is new stays in its "
            "source",
            "see to the way they go (below), or raise outbox_max_bytes",
        )
    elif oldest and _days(look.instance.clock(), oldest) > given.outbox_max_age_days * _NEAR:
        yield warning(
            "outbox",
            f"{says}; past {given.outbox_max_age_days:g} days before the newest, one goes to "
            "failed/ and its rows are sent again",
            "see to the way they go (below), then `recall outbox drain`",
        )
    else:
        yield note("outbox", says, "`recall outbox drain`, or the next upload, sends them")
    for item in waiting:
        if item.reason:
            yield warning(
                "outbox",
                f"snapshot {item.seq} cannot be sent: {item.reason}",
                "nothing to do: the next upload sets it aside and sends its rows again",
            )


def _breakers(look: Look) -> Iterator[Finding]:
    # What is wrong with the state is said where the state is looked at.
    with suppress(RecallError), look.state() as state:
        for way in ways(look.instance, state) if state is not None else ():
            if way.status != "closed":
                yield warning(
                    "breaker",
                    f"{_WAYS[way.name]} failed {way.failures} times in a row and is tried again "
                    "once a minute",
                    "see what is said of it below",
                )


def _days(now: datetime, then: datetime) -> float:
    return (now - then).total_seconds() / 86_400


def _others_may_read(path: Path) -> bool:
    return bool(stat.S_IMODE(path.stat().st_mode) & 0o077)


def _holds_secret(look: Look) -> bool:
    given = look.instance.settings
    return any((given.s3_secret_access_key, given.hub_token))
