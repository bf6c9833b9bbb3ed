"""What the hub's doctor says of a hub that is well, and of each thing that is not."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from recall_daemon.app import open_hub
from recall_daemon.core import open_core
from recall_daemon.doctor import examine as examining
from recall_daemon.doctor import machine, port
from recall_daemon.doctor.examine import examine
from recall_daemon.doctor.look import Look
from recall_daemon.settings import HubSettings
from recall_wire.doctor.finding import Finding, healthy
from recall_wire.manifest import now_utc
from recall_wire.records import Record

LATER = timedelta(days=30)


@pytest.fixture
def settings(publisher: Any, tmp_path: Path) -> HubSettings:
    return HubSettings(
        bucket_url=f"file://{publisher.root}",
        data_dir=tmp_path / "hub",
        embedder="hash",
        http_port=0,
        min_free_bytes=0,
    )


@pytest.fixture
def merged(settings: HubSettings, publisher: Any) -> HubSettings:
    publisher.publish("a", 1, [Record("m", text="one")])

    async def once() -> None:
        with open_core(settings) as core:
            async with open_hub(core) as hub:
                await hub.poll_as_owner()
                await hub.finish()

    asyncio.run(once())
    return settings


def look(
    settings: HubSettings, now: Callable[[], datetime] = now_utc, **origins: str
) -> dict[str, Finding]:
    """The last finding of each check."""
    return {item.check: item for item in examine(Look(settings, None, origins, now))}


def test_a_hub_that_is_well(merged: HubSettings, publisher: Any) -> None:
    found = look(merged, data_dir="in RECALLD_DATA_DIR")
    assert healthy(found.values())
    assert found["setting"].says == f"data_dir = {merged.data_dir}, in RECALLD_DATA_DIR"
    assert found["store"].says == "1 memories"
    assert found["verify"].level == "ok"
    assert found["systems"].says.startswith("1, none silent")
    assert found["backup"].level == "warning"
    assert found["tokens"].level == "note"
    assert found["model"].says.endswith("texts/s now")
    assert not list(publisher.root.rglob("*doctor*/*"))


def test_before_the_first_start(settings: HubSettings) -> None:
    found = look(settings)
    assert healthy(found.values())
    assert "there is none" in found["store"].says
    assert "recalld restore" in found["store"].remedy
    assert "backup" not in found, "whose it would be is not known"
    assert not settings.data_dir.exists()


def test_what_keeps_the_hub_from_its_work(merged: HubSettings, tmp_path: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        wrong = merged.model_copy(
            update={
                "bucket_url": None,
                "min_free_bytes": 1 << 62,
                "http_port": other.getsockname()[1],
                "http_names": ["hub.example"],
            }
        )
        found = look(wrong)
    bad = {name for name, item in found.items() if item.level == "problem"}
    assert bad == {"bucket", "data", "port", "tokens"}
    assert all(found[name].remedy for name in bad)

    (tmp_path / "hub" / "store.duckdb").write_bytes(b"no store at all" * 1000)
    assert look(merged)["store"].level == "problem"


def test_what_is_wrong_with_the_bucket_is_said_once(merged: HubSettings, publisher: Any) -> None:
    publisher.root.rename(publisher.root.with_name("elsewhere"))
    wrong = [item for item in examine(Look(merged, None, {}, now_utc)) if item.level != "ok"]
    told = [item for item in wrong if "bucket" in item.says]
    assert [(item.check, item.level) for item in told] == [("bucket", "problem")]
    assert "backup" not in {item.check for item in wrong}


def test_what_may_be_seen_to_later(
    merged: HubSettings, publisher: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    merged.data_dir.chmod(0o755)
    monkeypatch.setattr("os.sysconf", lambda name: 1)
    monkeypatch.setattr(machine.resource, "getrlimit", lambda _: (64, 64))
    found = look(merged, lambda: datetime.now(UTC) + LATER)
    assert healthy(found.values())
    said = {name for name, item in found.items() if item.level == "warning"}
    assert said >= {"data", "memory", "open files", "clock", "backup"}
    assert "a for more than 7 days" in found["silent"].says
    merged.data_dir.chmod(0o700)


def test_a_group_that_hangs_or_fails_is_one_finding(
    merged: HubSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    def denied(_: Look) -> Any:
        raise PermissionError(13, "Permission denied", "/x")

    monkeypatch.setattr(examining, "_GROUPS", (("store", denied), ("port", port.port)))
    found = look(merged)
    assert found["store"].says == "/x: Permission denied"
    assert found["port"].level == "ok"
    slow = examine(Look(merged, None, {}, now_utc), limit_s=0)
    assert all(item.level in ("problem", "ok", "warning") for item in slow)
