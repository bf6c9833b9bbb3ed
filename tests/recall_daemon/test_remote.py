"""What the hub's own errors are to a command that asked it."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from recall_daemon.remote import HubBusy, HubRefused, RemoteHub
from recall_wire.errors import TransientError


@pytest.mark.parametrize(
    ("problem", "kind"),
    [
        ({"status": 404, "code": "memory_not_found", "detail": "not there"}, HubRefused),
        ({"status": 409, "code": "job_running", "detail": "x", "transient": True}, HubBusy),
        ({"status": 429, "code": "rate_limited", "detail": "too many"}, HubBusy),
    ],
)
def test_what_may_succeed_later_is_known(problem: dict[str, Any], kind: type[Exception]) -> None:
    hub = RemoteHub("http://127.0.0.1:1")
    answer = httpx.Response(problem["status"], json=problem)
    hub._http = httpx.Client(
        base_url=hub.url, transport=httpx.MockTransport(lambda request: answer)
    )
    with pytest.raises(kind, match=problem["detail"]) as caught:
        hub.status()
    assert isinstance(caught.value, TransientError) is (kind is HubBusy)
    hub.close()
