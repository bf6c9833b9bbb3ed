"""`recalld run` as systemd sees it: what it says, what a reload changes, how it stops."""

from __future__ import annotations

import importlib.util
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

_spec = importlib.util.spec_from_file_location("pushing", Path(__file__).parent / "test_push.py")
assert _spec is not None
assert _spec.loader is not None
pushing = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(pushing)

STOPS_WITHIN_S = 10


@dataclass
class Service:
    """A hub with a manager that listens to it."""

    fleet: Any
    config: Path
    manager: socket.socket
    process: subprocess.Popen[str]
    url: str = ""

    def told(self, wanted: str) -> str:
        """The next message that has the line."""
        while True:
            message = self.manager.recv(4096).decode()
            if wanted in message.splitlines():
                return message

    def reload(self, text: str) -> None:
        self.config.write_text(text)
        self.process.send_signal(signal.SIGHUP)
        assert "MONOTONIC_USEC=" in self.told("RELOADING=1")
        self.told("READY=1")

    def stop(self) -> list[dict[str, Any]]:
        """Returns what was logged."""
        self.process.send_signal(signal.SIGTERM)
        return self.end()

    def end(self) -> list[dict[str, Any]]:
        _, err = self.process.communicate(timeout=STOPS_WITHIN_S)
        assert self.process.returncode == 0, err
        return [json.loads(line) for line in err.splitlines()]


@pytest.fixture
def start(fleet: Any) -> Iterator[Callable[[str], Service]]:
    started: list[Service] = []
    address = str(fleet.folder / "notify")

    def start(settings: str) -> Service:
        config = fleet.folder / "recalld.yaml"
        config.write_text(settings)
        manager = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        manager.settimeout(60)
        manager.bind(address)
        command = [Path(sys.executable).with_name("recalld"), "run", "--config", str(config)]
        variables = {"NOTIFY_SOCKET": address, "WATCHDOG_USEC": "2000000"}
        process = subprocess.Popen(
            command,
            env=fleet.environment() | variables,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        service = Service(fleet, config, manager, process)
        started.append(service)
        assert process.stdout is not None
        service.url = process.stdout.readline().split()[-1]
        return service

    yield start
    for service in started:
        service.manager.close()
        if service.process.poll() is None:
            os.kill(service.process.pid, signal.SIGKILL)
            service.process.communicate()


def test_systemd_is_told_and_a_reload_takes_effect(
    start: Callable[[str], Service], fleet: Any, write_db: Any, tmp_path: Path
) -> None:
    service = start("poll_interval_s: 3600\n")
    assert "STATUS=all parts are well" in service.told("READY=1")
    service.told("WATCHDOG=1")
    assert httpx.get(f"{service.url}/readyz").status_code == 200
    doctor = fleet.json("recalld", "doctor")
    said = {check["check"]: check["says"] for check in doctor["checks"]}
    assert doctor["ok"]
    assert said["port"] == f"the hub answers at {service.url}"
    write_db(tmp_path / "s.duckdb", {"m1": "one memory", "m2": "another"})
    fleet.upload("a", tmp_path / "s.duckdb")

    service.reload("poll_interval_s: true or false\n")
    service.reload(
        "poll_interval_s: 1\nconcurrency: 2\nwarm_after_s: 86400\nrate_per_minute: 100\n"
    )
    while httpx.get(f"{service.url}/v1/status").json()["rows"] < 2:
        service.told("WATCHDOG=1")

    service.process.send_signal(signal.SIGTERM)
    service.told("STOPPING=1")
    logs = {entry["event"]: entry for entry in service.end()}
    assert "poll_interval_s" in logs["settings.not_reloaded"]["error"]
    assert logs["settings.reloaded"]["changed"] == [
        "poll_interval_s",
        "rate_per_minute",
        "warm_after_s",
    ]
    assert logs["settings.need_a_restart"]["settings"] == ["concurrency"]


def test_what_is_under_way_is_answered_before_it_ends(
    start: Callable[[str], Service], fleet: Any
) -> None:
    """50 searches and a push whose bodies have half come, and a job."""
    service = start("poll_interval_s: 3600\n")
    service.told("READY=1")
    for step in pushing.STEPS[:-1]:
        assert step(service).status_code == 200
    commit = {
        "manifest_sha256": pushing.sha256_hex(pushing.MANIFEST),
        "batches": [pushing.sha256_hex(data) for data in pushing.BATCHES],
    }
    asked = [_Half(service.url, "/v1/push/a/1/commit", commit)]
    asked += [_Half(service.url, "/v1/search", {"query": f"memory {n}"}) for n in range(50)]
    # Answered after all that came before it, so that the hub has begun each of them.
    assert httpx.post(f"{service.url}/v1/jobs/backup/run", json={}).status_code in (200, 202)

    service.process.send_signal(signal.SIGTERM)
    service.told("STOPPING=1")
    answers = [half.finish() for half in asked]
    assert {status for status, _ in answers} == {200}
    assert json.loads(answers[0][1])["status"] == "merged"
    service.end()

    assert fleet.json("recalld", "status")["rows"] == len(pushing.ROWS)
    assert fleet.json("recalld", "verify")["ok"]


class _Half:
    """A request whose head and half of whose body are sent."""

    def __init__(self, url: str, path: str, body: dict[str, Any]) -> None:
        host, port = url.removeprefix("http://").split(":")
        data = json.dumps(body).encode()
        head = (
            f"POST {path} HTTP/1.1\r\nHost: {host}:{port}\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(data)}\r\n\r\n"
        )
        self._client = socket.create_connection((host, int(port)), timeout=60)
        self._rest = data[len(data) // 2 :]
        self._client.sendall(head.encode() + data[: len(data) // 2])

    def finish(self) -> tuple[int, bytes]:
        """The status and the body of the answer, up to the end of the connection."""
        with self._client as client:
            client.sendall(self._rest)
            answer = b"".join(iter(lambda: client.recv(65536), b""))
        head, _, body = answer.partition(b"\r\n\r\n")
        return int(head.split()[1]), body
