"""Work that may hang where nothing can interrupt it, side by side and for a bounded time."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeVar

_T = TypeVar("_T")


@dataclass(slots=True)
class Task(Generic[_T]):
    """`result` stays None until the work is done. What it raises is raised by `outcome`."""

    work: Callable[[], _T]
    result: _T | None = None
    error: BaseException | None = None
    done: threading.Event = field(default_factory=threading.Event)

    def run(self) -> None:
        try:
            self.result = self.work()
        except BaseException as error:
            self.error = error
        finally:
            self.done.set()

    def outcome(self) -> _T | None:
        """None where it is not done yet."""
        if self.done.is_set() and self.error is not None:
            raise self.error
        return self.result if self.done.is_set() else None


class Limit(Protocol):
    @property
    def left_s(self) -> float: ...


def within(limit: Limit, works: Sequence[Callable[[], _T]]) -> list[_T | None]:
    """The results, in order; None for what is not done in time and goes on unheard.

    In daemon threads, which a dead network drive can hold for ever without holding the process.
    """
    tasks = [Task(work) for work in works]
    for task in tasks:
        threading.Thread(target=task.run, daemon=True, name="recall-look").start()
    for task in tasks:
        task.done.wait(max(0.0, limit.left_s))
    return [task.outcome() for task in tasks]
