"""Ways to search the same rows, each in a process of its own, driven from here.

A process a side keeps its memory apart and its threads off the others' interpreter. Only the side
whose turn it is works, and only it takes rows in.
"""

from __future__ import annotations

import multiprocessing as mp
import os
import threading
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Literal, Protocol

from corpus import Corpus, open_corpus
from processes import memory
from report import folder_bytes, progress
from sources import Options

INGEST_ROWS_PER_S = 200
TOP = 10

# Question number, name of its filter → row numbers, best first.
Search = Callable[[int, str], list[int]]
State = Literal["quiet", "ingest"]


class Side(Protocol):
    """Made in its own process from a corpus and an empty folder."""

    def build(self, rows: int) -> None:
        """Take in the first `rows` rows and be ready to search."""

    def searches(self) -> Mapping[str, Search]:
        """Its searches by name; the same every time."""

    def add(self, start: int, stop: int) -> None:
        """Make rows [start, stop) findable; called while searches run."""

    def settle(self, quiet_s: float) -> None:
        """Whatever upkeep is due after rows were added; nobody searches meanwhile.

        What goes on unseen is over when nothing was done for `quiet_s`.
        """

    def close(self) -> None: ...


@dataclass(frozen=True)
class Answer:
    question: int
    seconds: float
    rows: list[int]


@dataclass(frozen=True)
class Turn:
    """What a side is to do: ask at least `least` of the questions, once each at most per round
    of them, until `seconds` have passed; after rows were added, be quiet for `quiet_s`."""

    search: str
    narrowing: str
    questions: Sequence[int]
    state: State
    seconds: float
    least: int
    quiet_s: float = 1.0


class SideProcess:
    """A side in a process of its own. Raises `RuntimeError` with the side's own traceback."""

    def __init__(self, make: Callable[[Corpus, Path], Side], options: Options, folder: Path):
        context = mp.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        folder.mkdir(parents=True)
        self._process = context.Process(target=_serve, args=(theirs, make, options, folder))
        self._process.start()
        theirs.close()

    def build(self, rows: int) -> dict[str, Any]:
        return dict(self._ask("build", rows))

    def take(self, turn: Turn) -> list[Answer]:
        return list(self._ask("take", turn))

    def usage(self) -> dict[str, Any]:
        """Resident memory (its own, and mapped files), bytes on disk, rows taken in a second."""
        return dict(self._ask("usage"))

    def close(self) -> None:
        if self._process.is_alive():
            self._ask("close")
        self._process.join()

    def _ask(self, what: str, *arguments: object) -> Any:
        self._pipe.send((what, arguments))
        try:
            failed, answer = self._pipe.recv()
        except EOFError:
            raise RuntimeError(f"the side's process died at {what!r}") from None
        if failed:
            raise RuntimeError(answer)
        return answer


def _serve(
    pipe: Connection, make: Callable[[Corpus, Path], Side], options: Options, folder: Path
) -> None:
    room = _Room(make, options, folder)
    while True:
        try:
            what, arguments = pipe.recv()
        except EOFError:
            return  # the parent is gone
        try:
            pipe.send((False, getattr(room, what)(*arguments)))
        except Exception:
            pipe.send((True, traceback.format_exc()))
        if what == "close":
            return


class _Room:
    """The side's end of the pipe."""

    def __init__(self, make: Callable[[Corpus, Path], Side], options: Options, folder: Path):
        self._folder = folder
        self._corpus = open_corpus(options)
        self._side = make(self._corpus, folder)
        self._next_row = 0
        self._added, self._adding_s = 0, 0.0

    def build(self, rows: int) -> dict[str, Any]:
        started = time.perf_counter()
        self._side.build(rows)
        self._next_row = rows
        return {"build_s": round(time.perf_counter() - started, 1)}

    def take(self, turn: Turn) -> list[Answer]:
        if turn.state == "quiet":
            return self._answers(turn)
        # Making the rows' vectors is no part of taking them in.
        self._corpus.vectors(self._next_row, self._next_row + INGEST_ROWS_PER_S)
        stop = threading.Event()
        failures: list[BaseException] = []
        adding = threading.Thread(target=self._add_until, args=(stop, failures))
        adding.start()
        try:
            return self._answers(turn)
        finally:
            stop.set()
            adding.join()
            if failures:
                raise failures[0]
            self._side.settle(turn.quiet_s)

    def _answers(self, turn: Turn) -> list[Answer]:
        search = self._side.searches()[turn.search]
        answers: list[Answer] = []
        ends = time.perf_counter() + turn.seconds
        while len(answers) < turn.least or time.perf_counter() < ends:
            question = turn.questions[len(answers) % len(turn.questions)]
            started = time.perf_counter()
            rows = search(question, turn.narrowing)
            answers.append(Answer(question, time.perf_counter() - started, rows))
        return answers

    def _add_until(self, stop: threading.Event, failures: list[BaseException]) -> None:
        """`INGEST_ROWS_PER_S` once a second; a second that was missed is made up for."""
        began = time.perf_counter()
        added = 0
        try:
            while True:
                last = self._next_row + INGEST_ROWS_PER_S
                self._side.add(self._next_row, last)
                self._next_row, added = last, added + INGEST_ROWS_PER_S
                due = began + added / INGEST_ROWS_PER_S
                if stop.wait(max(0.0, due - time.perf_counter())):
                    break
        except BaseException as error:
            failures.append(error)
        self._added += added
        # The last second's rows are taken in at its beginning.
        self._adding_s += max(time.perf_counter() - began, added / INGEST_ROWS_PER_S)

    def usage(self) -> dict[str, Any]:
        pid = os.getpid()
        return {
            "rss_bytes": memory(pid, "VmRSS"),
            "rss_of_mapped_files_bytes": memory(pid, "RssFile"),
            "peak_rss_bytes": memory(pid, "VmHWM"),
            "disk_bytes": folder_bytes(self._folder),
            "rows_ingested": self._added,
            "ingested_rows_per_s": round(self._added / self._adding_s, 1) if self._added else None,
        }

    def close(self) -> None:
        progress("closing")
        self._side.close()
