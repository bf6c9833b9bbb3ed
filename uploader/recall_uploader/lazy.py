"""Something that is opened only when a run needs it: an unchanged run asks no bucket."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar


class _Closable(Protocol):
    def close(self) -> None: ...


_T = TypeVar("_T", bound=_Closable)


@dataclass(slots=True)
class Lazy(Generic[_T]):
    """Opened at the first call, closed with `stack`."""

    connect: Callable[[], _T]
    stack: ExitStack
    opened: _T | None = None

    def __call__(self) -> _T:
        if self.opened is None:
            self.opened = self.connect()
            self.stack.callback(self.opened.close)
        return self.opened
