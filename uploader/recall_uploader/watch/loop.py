"""Upload at every change, and every so often for the changes that no notice told of."""

from __future__ import annotations

import queue
import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal

from recall_uploader.result import UploadResult
from recall_uploader.sources.settings import SourceSettings
from recall_uploader.watch.targets import Targets
from recall_uploader.watch.watcher import watching
from recall_wire.errors import RecallError

Wake = Literal["changed", "stop"]
Say = Callable[[str], None]
Said = frozenset[str]


@dataclass(frozen=True, slots=True)
class Watch:
    """`upload` runs at the start, after each burst of changes, and after `sweep_s` without one.

    What fails is said, and not again while it stays so, and is tried again: a watch ends only when
    told to.
    """

    sources: Callable[[], Sequence[SourceSettings]]
    upload: Callable[[], UploadResult]
    say: Say
    debounce_s: float
    sweep_s: float
    _wakes: queue.SimpleQueue[Wake] = field(default_factory=queue.SimpleQueue)

    def stop(self) -> None:
        """End after what is being done. May be called from a signal handler."""
        self._wakes.put("stop")

    def run(self) -> None:
        said: Said = frozenset()
        while True:
            targets = self._targets()
            with watching(targets, self.debounce_s, self._changed, self._failed):
                # Between two looks at the targets: a source may have come or gone.
                while self._targets() == targets:
                    said = self._upload(said)
                    if self._wait() == "stop":
                        return

    def _targets(self) -> Targets:
        try:
            return Targets.of(self.sources())
        except RecallError:  # none yet; the upload says so
            return Targets.of(())

    def _upload(self, said_before: Said) -> Said:
        """Returns what was, or had been, said of this run."""
        result: UploadResult | None = None
        try:
            result = self.upload()
            lines = list(result.warnings)
        except (RecallError, OSError, sqlite3.Error) as error:
            lines = [str(error)]
        for line in lines:
            if line not in said_before:
                self.say(line)
        if result is not None and result.status != "unchanged" and result.rows:
            self.say(f"{result.status} up to snapshot {result.seq}: {result.rows} rows")
        return frozenset(lines)

    def _wait(self) -> Wake:
        """The next wake; several changes that came meanwhile are one."""
        try:
            wake = self._wakes.get(timeout=self.sweep_s)
        except queue.Empty:
            return "changed"
        while wake != "stop" and not self._wakes.empty():
            wake = self._wakes.get()
        return wake

    def _changed(self) -> None:
        self._wakes.put("changed")

    def _failed(self, error: Exception) -> None:
        self.say(f"changes cannot be watched ({error}); only the sweep is left")
