"""An endpoint that is made with the first message to it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from recall_daemon.serve.mcp.late import Endpoint, Late


class Made:
    """An endpoint that counts how often it was made, and answers only while it runs."""

    def __init__(self) -> None:
        self.times = 0
        self.messages = 0
        self.runs = False

    def __call__(self) -> Endpoint:
        self.times += 1
        return Endpoint(self.answer, self.running)

    async def answer(self, *_: Any) -> None:
        assert self.runs
        self.messages += 1

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        self.runs = True
        yield
        self.runs = False


async def send(late: Late) -> None:
    await late({}, None, None)  # type: ignore[arg-type]


async def test_it_is_made_once_and_with_the_first_message() -> None:
    made = Made()
    late = Late(made)
    async with late.running():
        assert made.times == 0
        await asyncio.gather(*(send(late) for _ in range(20)))
        assert (made.times, made.messages, made.runs) == (1, 20, True)
    assert not made.runs


async def test_without_a_message_it_is_never_made() -> None:
    made = Made()
    async with Late(made).running():
        pass
    assert made.times == 0


async def test_one_that_cannot_be_made_fails_every_message_and_ends() -> None:
    def failing() -> Endpoint:
        raise ImportError("no such library")

    late = Late(failing)
    async with late.running():
        for _ in range(2):
            with pytest.raises(ImportError, match="no such library"):
                await send(late)


async def test_whoever_gives_up_leaves_it_to_the_others() -> None:
    made = Made()
    late = Late(made)
    async with late.running():
        first = asyncio.create_task(send(late))
        await asyncio.sleep(0)
        first.cancel()
        await send(late)
    assert (made.times, made.messages) == (1, 1)


async def test_before_the_app_runs_it_says_so() -> None:
    with pytest.raises(RuntimeError, match="has not begun"):
        await send(Late(Made()))
