"""A call that may hang, and whoever waits for it until it is told to stop."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable
from concurrent.futures import Future, InvalidStateError
from typing import Any, TypeVar

_Result = TypeVar("_Result")


class Interruptible:
    """One call at a time; `stop`, from any thread, has its caller go on with an error.

    The call itself is left to its end, in a thread that keeps no process alive.
    """

    def __init__(self, error: Callable[[], Exception]) -> None:
        self._error = error
        self._stopped = False
        self._under_way: Future[Any] = Future()

    def call(self, work: Callable[[], _Result]) -> _Result:
        """What `work` returns or raises, or the error once this is stopped."""
        answer: Future[_Result] = Future()
        self._under_way = answer
        # Looked at after the answer can be given up from outside: a stop is never missed.
        self.check()
        threading.Thread(
            target=_settle, args=(answer, work), name="interruptible", daemon=True
        ).start()
        return answer.result()

    def check(self) -> None:
        """Raises the error once this is stopped."""
        if self._stopped:
            raise self._error()

    def stop(self) -> None:
        """For good. Idempotent."""
        self._stopped = True
        with contextlib.suppress(InvalidStateError):
            self._under_way.set_exception(self._error())


def _settle(answer: Future[_Result], work: Callable[[], _Result]) -> None:
    # Given up meanwhile: nobody wants the answer any more.
    with contextlib.suppress(InvalidStateError):
        try:
            result = work()
        except Exception as error:  # the caller's, whatever it is
            answer.set_exception(error)
        else:
            answer.set_result(result)
