"""What systemd is told, and when the watchdog is left to bite."""

from __future__ import annotations

import asyncio
import os
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from recall_daemon.service import notify
from recall_daemon.service.heartbeat import Follower, Heartbeat, Writer
from recall_daemon.store.store import Store


@pytest.fixture
def manager(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    address = str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(address)
        listener.setblocking(False)
        monkeypatch.setenv("NOTIFY_SOCKET", address)
        yield listener


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = Store(tmp_path / "hub")
    yield store
    store.close()


def told(manager: socket.socket) -> list[list[str]]:
    messages = []
    while True:
        try:
            messages.append(manager.recv(4096).decode().splitlines())
        except BlockingIOError:
            return messages


def test_who_does_not_listen_is_not_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    notify.notify(notify.READY)
    monkeypatch.setenv("NOTIFY_SOCKET", "/no/such/socket")
    notify.notify(notify.READY)


def test_an_abstract_socket_too(monkeypatch: pytest.MonkeyPatch) -> None:
    name = f"recalld-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(f"\0{name}")
        monkeypatch.setenv("NOTIFY_SOCKET", f"@{name}")
        notify.notify(*notify.reloading(), notify.status("a\nb"))
        reloading, since, status = listener.recv(4096).decode().splitlines()
    assert (reloading, status) == ("RELOADING=1", "STATUS=a b")
    assert int(since.removeprefix("MONOTONIC_USEC=")) > 0


def test_the_watchdog_is_that_of_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WATCHDOG_USEC", raising=False)
    monkeypatch.delenv("WATCHDOG_PID", raising=False)
    assert notify.watchdog_s() is None
    monkeypatch.setenv("WATCHDOG_USEC", "300000000")
    assert notify.watchdog_s() == 300
    monkeypatch.setenv("WATCHDOG_PID", "1")
    assert notify.watchdog_s() is None
    monkeypatch.setenv("WATCHDOG_PID", str(os.getpid()))
    assert notify.watchdog_s() == 300
    monkeypatch.setenv("WATCHDOG_USEC", "soon")
    assert notify.watchdog_s() is None


async def test_it_beats_twice_in_its_time_while_all_get_on(
    manager: socket.socket, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WATCHDOG_USEC", "300000000")
    monkeypatch.delenv("WATCHDOG_PID", raising=False)
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)
        store.write(lambda _: None)  # what was asked before has been answered then
        if len(slept) == 2:
            heart.ready.set()
        if len(slept) == 3:
            raise asyncio.CancelledError

    heart = Heartbeat(Writer(store), Follower(lambda: None), says=lambda: "well", sleep=sleep)
    with pytest.raises(asyncio.CancelledError):
        await heart.run()
    assert 149 < slept[0] <= 150
    more = ["WATCHDOG=1", "STATUS=well", "EXTEND_TIMEOUT_USEC=300000000"]
    assert told(manager) == [more, more, more[:2]]


async def test_without_a_watchdog_it_does_not_beat(
    manager: socket.socket, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("WATCHDOG_USEC", raising=False)
    heart = Heartbeat(Writer(store), Follower(lambda: None), says=str, sleep=asyncio.sleep)
    await heart.run()
    assert told(manager) == []


def test_a_writer_that_does_not_get_on_hangs(store: Store) -> None:
    writer, go_on, begun = Writer(store), threading.Event(), threading.Event()

    def block(_: object) -> None:
        begun.set()
        go_on.wait(60)

    blocked = store.submit(block)
    begun.wait(60)
    assert not writer.hangs()  # it has only been asked
    assert writer.hangs()
    go_on.set()
    blocked.result(60)
    store.write(lambda _: None)
    assert not writer.hangs()


def test_a_writer_that_writes_the_store_anew_does_not_hang(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer, go_on, begun = Writer(store), threading.Event(), threading.Event()

    def block(_: object) -> None:
        begun.set()
        go_on.wait(60)

    monkeypatch.setattr(store, "_rewrite", block)
    rewriting = threading.Thread(target=store.rewrite)
    rewriting.start()
    begun.wait(60)
    assert [writer.hangs(), writer.hangs()] == [False, False]
    go_on.set()
    rewriting.join(60)


def test_a_thread_that_stays_where_it_was_hangs() -> None:
    at = iter([None, None, (1, 5), (1, 6), (1, 6), (2, 6), None])
    follower = Follower(lambda: next(at))
    assert [follower.hangs() for _ in range(7)] == [False] * 4 + [True] + [False] * 2
