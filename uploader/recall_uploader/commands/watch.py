"""`recall watch`."""

from __future__ import annotations

from pathlib import Path


def watch(*, config: Path | None = None) -> int:
    """Upload whenever a source changes, until told to stop.

    Parameters
    ----------
    config
        A YAML settings file.
    """
    import signal
    import threading
    import time
    from dataclasses import replace

    from recall_uploader import app
    from recall_uploader.commands.printing import say
    from recall_uploader.commands.upload import QUEUED
    from recall_uploader.deadline import last_resort
    from recall_uploader.everything import sources_of, upload_everything
    from recall_uploader.settings import load_settings
    from recall_uploader.watch.loop import Watch

    settings = load_settings(config)
    stopping = threading.Event()
    # Told to stop, a run has no time left: it ends at the next safe point.
    instance = replace(
        app.build(
            settings,
            guard=lambda limit_s: last_resort(settings.lock_wait_s + limit_s, QUEUED),
        ),
        monotonic=lambda: float("inf") if stopping.is_set() else time.monotonic(),
    )
    loop = Watch(
        sources=lambda: sources_of(settings),
        upload=lambda: upload_everything(instance),
        say=say,
        debounce_s=settings.watch_debounce_s,
        sweep_s=settings.watch_sweep_s,
    )

    def stop(*_: object) -> None:
        stopping.set()
        loop.stop()

    for name in (signal.SIGTERM, signal.SIGINT):
        signal.signal(name, stop)
    loop.run()
    return 0
