"""kill -9 right after an acknowledgement: what was acknowledged is there, once."""

from __future__ import annotations

import os
import random
import threading
from typing import Any

import httpx
import pytest

SOAK = "RECALLD_TEST_SOAK" in os.environ
ROUNDS = 200 if SOAK else 5
CLIENTS = 4


@pytest.mark.timeout(3600 if SOAK else 600)
def test_what_was_acknowledged_survives_a_kill(hub: Any, fleet: Any) -> None:
    chance = random.Random(ROUNDS)
    acknowledged: set[str] = set()
    for round_ in range(ROUNDS):
        enough = threading.Event()
        wanted = len(acknowledged) + chance.randrange(1, 30)
        clients = [
            threading.Thread(
                target=_post, args=(hub.url, f"{round_}-{n}", acknowledged, wanted, enough)
            )
            for n in range(CLIENTS)
        ]
        for client in clients:
            client.start()
        assert enough.wait(60)
        hub.kill()
        for client in clients:
            client.join()
        hub.start()

    listed = _listed(hub.url)
    hub.kill()
    assert acknowledged <= set(listed)
    assert len(listed) == len(set(listed))
    assert fleet.json("recalld", "verify")["problems"] == []


def _post(
    url: str, name: str, acknowledged: set[str], wanted: int, enough: threading.Event
) -> None:
    """Post until the hub is gone; one by one and in batches."""
    with httpx.Client(base_url=url) as http:
        for number in range(10_000):
            ids = [f"{name}-{number}-{part}" for part in range(1 + number % 3)]
            memories = [{"memory_id": one, "text": f"the text of {one}"} for one in ids]
            try:
                answer = http.post("/v1/memories/batch", json={"system": "a", "memories": memories})
            except httpx.HTTPError:
                return
            answer.raise_for_status()
            acknowledged.update(ids)
            if len(acknowledged) >= wanted:
                enough.set()


def _listed(url: str) -> list[str]:
    found: list[str] = []
    asked: dict[str, Any] = {"limit": 100}
    while True:
        page = httpx.get(f"{url}/v1/memories", params=asked, timeout=60).json()
        found += [one["memory_id"] for one in page["memories"]]
        if page["next_cursor"] is None:
            return found
        asked["cursor"] = page["next_cursor"]
