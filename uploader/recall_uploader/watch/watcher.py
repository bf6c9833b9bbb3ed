"""Wakes up when a source changes: the system's own notices, in threads, as one event."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from watchfiles import Change, watch

from recall_uploader.watch.targets import Targets

_LOOK_MS = 1_000  # how soon a thread notices that it shall stop

Changed = Callable[[], None]
Failed = Callable[[Exception], None]


@contextmanager
def watching(
    targets: Targets, debounce_s: float, changed: Changed, failed: Failed
) -> Iterator[None]:
    """Call `changed` once after each burst of changes, on another thread, while the body runs.

    A burst ends when nothing changes for `debounce_s`, or after ten times that. `failed` gets what
    ended a thread, such as a limit of the system: then only the sweep is left.
    """
    stop = threading.Event()

    def follow(paths: frozenset[str], deep: bool) -> None:
        try:
            for _ in _changes(targets, paths, deep, debounce_s, stop):
                changed()
        except (OSError, RuntimeError) as error:
            failed(error)

    threads = [
        threading.Thread(target=follow, args=(paths, deep))
        for paths, deep in ((targets.parents, False), (targets.folders, True))
        if paths
    ]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def _changes(
    targets: Targets,
    paths: frozenset[str],
    deep: bool,
    debounce_s: float,
    stop: threading.Event,
) -> Iterator[set[tuple[Change, str]]]:
    quiet_ms = int(debounce_s * 1000)
    return watch(
        *sorted(paths),
        watch_filter=lambda _, path: targets.concerns(path),
        step=quiet_ms,
        debounce=10 * quiet_ms,
        stop_event=stop,
        rust_timeout=_LOOK_MS,
        recursive=deep,
        ignore_permission_denied=True,
    )
