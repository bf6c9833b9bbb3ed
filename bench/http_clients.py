"""Clients of the hub's port that cost little themselves."""

from __future__ import annotations

import asyncio
import itertools
import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

Body = Callable[[int], tuple[str, dict[str, Any]]]


@dataclass
class Answers:
    """Seconds of each request that was answered 2xx, and the statuses of the others."""

    seconds: list[float] = field(default_factory=list)
    refused: dict[int, int] = field(default_factory=dict)
    wall_s: float = 0.0


@dataclass(frozen=True)
class Address:
    host: str
    port: int

    @classmethod
    def of(cls, url: str) -> Address:
        parts = urlsplit(url)
        assert parts.hostname is not None
        assert parts.port is not None
        return cls(parts.hostname, parts.port)

    @property
    def name(self) -> str:
        return f"{self.host}:{self.port}"


async def run(
    address: Address, clients: int, seconds: float, body: Body, *, method: str = "POST"
) -> Answers:
    """Each client has one connection, one request at a time, and at least one.

    `body(n)` is the n-th one's path and JSON.
    """
    answers, numbers = Answers(), itertools.count()
    started_s = time.perf_counter()
    ends = started_s + seconds

    async def client() -> None:
        reader, writer = await asyncio.open_connection(address.host, address.port)
        try:
            while True:
                path, told = body(next(numbers))
                begun_s = time.perf_counter()
                data = json.dumps(told).encode()
                head = head_of(address, path, len(data), method)
                status = await _ask(reader, writer, head + data)
                if 200 <= status < 300:
                    answers.seconds.append(time.perf_counter() - begun_s)
                else:
                    answers.refused[status] = answers.refused.get(status, 0) + 1
                if time.perf_counter() >= ends:
                    return
        finally:
            writer.close()

    await asyncio.gather(*(client() for _ in range(clients)))
    answers.wall_s = time.perf_counter() - started_s
    return answers


async def _ask(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, asked: bytes) -> int:
    writer.write(asked)
    await writer.drain()
    head = await reader.readuntil(b"\r\n\r\n")
    lengths = [line for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")]
    await reader.readexactly(int(lengths[0].partition(b":")[2]))
    return int(head.split(b" ", 2)[1])


def head_of(address: Address, path: str, length: int, method: str = "POST") -> bytes:
    """The head of a request with a JSON body of that length."""
    return (
        f"{method} {path} HTTP/1.1\r\nhost: {address.name}\r\ncontent-type: application/json\r\n"
        f"content-length: {length}\r\n\r\n"
    ).encode()
