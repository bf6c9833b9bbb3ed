"""What lies on this machine: settings, data folder, limits."""

from __future__ import annotations

import os
import resource
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path

from recall_daemon.doctor.look import Look
from recall_daemon.serve.connections import FILES_KEPT
from recall_wire.doctor.finding import Finding, note, ok, problem, warning
from recall_wire.sizes import bytes_text

# What the hub takes beside its store, before the index has a row.
BASE_BYTES = 1 << 30
FILES_WANTED = 4_096
# A backup needs twice the store, a purge once.
_NEAR = 2


def settings(look: Look) -> Iterator[Finding]:
    """They loaded, or there would be no examination. Secrets are shown as asterisks."""
    file = look.settings_file
    yield ok("settings", f"read from {file}" if file else "from the environment and the defaults")
    for name, origin in look.origins.items():
        yield ok("setting", f"{name} = {getattr(look.settings, name)}, {origin}")
    if file is not None and _others_may_read(file) and _holds_secret(look):
        yield warning(
            "settings", f"{file} holds a secret and others may read it", f"chmod 600 {file}"
        )


def data_folder(look: Look) -> Iterator[Finding]:
    folder = look.settings.data_dir
    if not folder.exists():
        yield from _not_yet(folder)
        return
    if not folder.is_dir() or not os.access(folder, os.W_OK | os.X_OK):
        yield problem(
            "data",
            f"the data folder {folder} cannot be written",
            "see to its owner and mode, or set RECALLD_DATA_DIR to a folder of yours",
        )
        return
    said = [*_owner(folder), *_space(look, folder), *_one_file_system(folder)]
    yield from said
    if not said:
        free = bytes_text(shutil.disk_usage(folder).free)
        yield ok("data", f"{folder}, {free} free; {_sizes(folder)}")


def limits(look: Look) -> Iterator[Finding]:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < FILES_WANTED:
        yield warning(
            "open files",
            f"at most {hard} for a process of this user, {FILES_KEPT} of which are the hub's own: "
            "each connection is one",
            "LimitNOFILE in a systemd unit, `ulimit -n` elsewhere",
        )
    else:
        yield ok("open files", "as many as the system allows" if hard < 0 else f"up to {hard}")
    yield from _memory(look)


def _not_yet(folder: Path) -> Iterator[Finding]:
    parent = next(path for path in folder.parents if path.exists())
    if not os.access(parent, os.W_OK | os.X_OK):
        yield problem(
            "data",
            f"the data folder {folder} is not there and cannot be made",
            "make it for the hub's user, or set RECALLD_DATA_DIR to a folder of yours",
        )
    else:
        yield note("data", f"{folder} is not there yet", "`recalld run` makes it")


def _owner(folder: Path) -> Iterator[Finding]:
    status = folder.stat()
    if status.st_uid != os.geteuid():
        yield warning("data", f"{folder} belongs to another user", "run recalld as its owner")
    elif _others_may_read(folder):
        yield warning(
            "data", f"others on this machine may look into {folder}", f"chmod 700 {folder}"
        )


def _space(look: Look, folder: Path) -> Iterator[Finding]:
    free = shutil.disk_usage(folder).free
    least = look.settings.min_free_bytes
    store = sum(path.stat().st_size for path in folder.glob("store.duckdb*"))
    if free < least:
        yield problem(
            "data",
            f"{bytes_text(free)} are free where {folder} lies: nothing is taken in below "
            f"{bytes_text(least)} (min_free_bytes)",
            "make room, or move it with RECALLD_DATA_DIR",
        )
    elif free < _NEAR * store:
        yield warning(
            "data",
            f"{bytes_text(free)} are free where {folder} lies, the store has {bytes_text(store)}: "
            "a backup needs twice as much while it is made",
            "make room, or move it with RECALLD_DATA_DIR",
        )


def _one_file_system(folder: Path) -> Iterator[Finding]:
    device = folder.stat().st_dev
    others = [path.name for path in folder.iterdir() if path.stat().st_dev != device]
    if others:
        yield warning(
            "data",
            f"{', '.join(sorted(others))} in {folder} lie on another file system: files are put in "
            "their place by renaming, which does not go across",
            "have all of the data folder on one file system",
        )


def _sizes(folder: Path) -> str:
    parts = {"store": "store.duckdb*", "index": "index/**/*", "cache": "cache/**/*"}
    found = {name: _bytes(folder, pattern) for name, pattern in parts.items()}
    return ", ".join(f"{name} {bytes_text(size)}" for name, size in found.items())


def _bytes(folder: Path, pattern: str) -> int:
    total = 0
    for path in folder.glob(pattern):
        try:
            total += path.stat().st_size if path.is_file() else 0
        except FileNotFoundError:  # a daemon that runs has taken it away meanwhile
            continue
    return total


def _memory(look: Look) -> Iterator[Finding]:
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    wanted = look.settings.store_memory_bytes + BASE_BYTES
    if total < wanted:
        yield warning(
            "memory",
            f"this machine has {bytes_text(total)}; the hub may take {bytes_text(wanted)} before "
            "its index has a row",
            "lower store_memory_bytes",
        )
    else:
        yield ok("memory", f"{bytes_text(total)}")


def _others_may_read(path: Path) -> bool:
    return bool(stat.S_IMODE(path.stat().st_mode) & 0o077)


def _holds_secret(look: Look) -> bool:
    return look.origins.get("s3_secret_access_key") == f"in {look.settings_file}"
