"""The steps of a run, at each of which it may be killed. Installed in the run's own process."""

from __future__ import annotations

import os
import sqlite3
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

from shared import Shared

KILLED = 99

Kind = Literal["call", "hub", "inside", "disk", "commit", "statement"]
# How far into a run a kill of each kind may be: three runs of four are not longer.
REACH: dict[Kind, int] = {
    "call": 40,
    "hub": 10,
    "inside": 120,
    "disk": 50,
    "commit": 18,
    "statement": 30,
}
WEIGHTS: dict[Kind, int] = {
    "call": 30,
    "hub": 5,
    "inside": 10,
    "disk": 35,
    "commit": 25,
    "statement": 5,
}

_FILE_EVENTS = {
    *("os.rename", "os.link", "os.mkdir", "os.remove", "os.rmdir", "os.truncate", "shutil.rmtree"),
}
_CHANGES = ("INSERT", "UPDATE", "DELETE")


@dataclass(frozen=True, slots=True)
class Kill:
    """The process ends at its `number`-th step of a kind, as SIGKILL would end it."""

    kind: Kind
    number: int


class Steps:
    """Counts the steps. A file is changed, and a row written, right after its step: to die at a
    step is to die after all that the step before it did.

    `fsync` is only a step: a kill is no power cut, and a thousand worlds need no real disk.
    """

    def __init__(self, kill: Kill | None, shared: Shared) -> None:
        self._kill = kill
        self._shared = shared
        self._lock = threading.Lock()
        self._thread = threading.local()
        self.counts: Counter[Kind] = Counter()

    def step(self, kind: Kind, what: str) -> None:
        with self._lock:
            self.counts[kind] += 1
            if self._kill == Kill(kind, self.counts[kind]):
                self._shared.tell(f"    killed at {kind} {self._kill.number}: {what}")
                os._exit(KILLED)

    @contextmanager
    def beyond_the_line(self) -> Iterator[None]:
        """What happens to files meanwhile is the bucket's or the hub's own doing."""
        self._thread.inside = True
        try:
            yield
        finally:
            self._thread.inside = False

    def install(self) -> None:
        """For the rest of this process's life."""
        os.fsync = lambda fd: self._file("fsync", "")
        real = sqlite3.connect

        def connect(*arguments: Any, **options: Any) -> sqlite3.Connection:
            connection: sqlite3.Connection = real(*arguments, **options, factory=_Stepping)
            connection.steps = self  # type: ignore[attr-defined]
            return connection

        sqlite3.connect = connect  # type: ignore[assignment]
        sys.addaudithook(self._audit)

    def _audit(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event in _FILE_EVENTS:
            self._file(event, str(arguments[0]))
        elif event == "open" and isinstance(arguments[2], int) and arguments[2] & os.O_CREAT:
            self._file("create", str(arguments[0]))

    def _file(self, what: str, path: str) -> None:
        inside = getattr(self._thread, "inside", False)
        self.step("inside" if inside else "disk", f"{what} {path}")


class _Stepping(sqlite3.Connection):
    steps: Steps

    def execute(self, statement: str, *parameters: Any) -> sqlite3.Cursor:
        if statement.startswith("PRAGMA synchronous"):
            return super().execute("PRAGMA synchronous = OFF")
        if statement.startswith(_CHANGES) and "temp." not in statement:
            self.steps.step("statement", statement[:40])
        if statement != "COMMIT":
            return super().execute(statement, *parameters)
        self.steps.step("commit", "before COMMIT")
        cursor = super().execute(statement)
        self.steps.step("commit", "after COMMIT")
        return cursor
