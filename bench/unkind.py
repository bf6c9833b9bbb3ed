"""Clients of the hub's port that mean no good, in a process of their own.

They would be on other machines, and not in the way of whoever measures.
"""

from __future__ import annotations

import asyncio
import contextlib
import multiprocessing as mp
import os
from collections.abc import AsyncIterator, Callable, Iterator
from multiprocessing.connection import Connection
from typing import Any

from http_clients import Address, head_of

# They have what the hub and whoever measures leave of this machine.
NICE = 10

Kind = Callable[[Address, int], contextlib.AbstractAsyncContextManager[int]]


@contextlib.contextmanager
def unkind(kind: Kind, address: Address, count: int) -> Iterator[int]:
    """`count` clients of a kind, while the block runs; yields how many there are."""
    here, there = mp.Pipe()
    process = mp.get_context("spawn").Process(target=_work, args=(there, kind, address, count))
    process.start()
    try:
        yield here.recv()
    finally:
        here.send(None)
        process.join()


def _work(pipe: Connection, kind: Kind, address: Address, count: int) -> None:
    os.nice(NICE)
    asyncio.run(_until_told(pipe, kind, address, count))


async def _until_told(pipe: Connection, kind: Kind, address: Address, count: int) -> None:
    async with kind(address, count) as connected:
        pipe.send(connected)
        await asyncio.to_thread(pipe.recv)


@contextlib.asynccontextmanager
async def idle(address: Address, count: int) -> AsyncIterator[int]:
    """So many connections that say nothing; yields how many the hub let in."""
    writers = []
    for _ in range(count):
        try:
            _, writer = await asyncio.open_connection(address.host, address.port)
        except OSError:
            break
        writers.append(writer)
    try:
        yield len(writers)
    finally:
        for writer in writers:
            writer.close()


@contextlib.asynccontextmanager
async def slow(address: Address, count: int) -> AsyncIterator[int]:
    """So many clients that send the body of a search byte by byte; a new one for each that is cut
    off."""
    async with _unkind(
        count, lambda: _trickle(address, head_of(address, "/v1/search", 2_000), 0.2)
    ):
        yield count


@contextlib.asynccontextmanager
async def endless(address: Address, count: int) -> AsyncIterator[int]:
    """So many clients whose bodies have no length and no end."""
    head = (
        f"POST /v1/memories/batch HTTP/1.1\r\nhost: {address.name}\r\n"
        "content-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n"
    ).encode()
    async with _unkind(
        count, lambda: _trickle(address, head, 0.005, b"400\r\n" + b" " * 1024 + b"\r\n")
    ):
        yield count


@contextlib.asynccontextmanager
async def _unkind(count: int, one: Callable[[], Any]) -> AsyncIterator[None]:
    async def again() -> None:
        while True:
            with contextlib.suppress(OSError):
                await one()
            await asyncio.sleep(0.05)

    tasks = [asyncio.create_task(again()) for _ in range(count)]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _trickle(address: Address, head: bytes, every_s: float, piece: bytes = b" ") -> None:
    reader, writer = await asyncio.open_connection(address.host, address.port)
    try:
        writer.write(head)
        while not reader.at_eof():
            writer.write(piece)
            await writer.drain()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(reader.read(1), every_s)
    finally:
        writer.close()
