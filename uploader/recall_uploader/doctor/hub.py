"""The hub over HTTP: the way round a bucket that cannot be reached."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from datetime import datetime
from email.utils import parsedate_to_datetime

import httpx

from recall_uploader.doctor.look import CALL_S, Look
from recall_wire.doctor import clock
from recall_wire.doctor.finding import Finding, failed, note, ok
from recall_wire.errors import RecallError


def hub(look: Look) -> Iterator[Finding]:
    instance, settings = look.instance, look.instance.settings
    if instance.connect_hub is None:
        yield note(
            "hub",
            "no hub_url is set: while the bucket cannot be reached, what is new waits here",
        )
        return
    try:
        with closing(instance.connect_hub()) as client, look.state() as state:
            told = client.told(look.system_id(state), look.call_deadline())
    except RecallError as error:
        # With a bucket it is the way round; without one, the only way.
        only_way = instance.connect is None or settings.force_method == "http"
        yield failed("hub", error, "problem" if only_way else "warning")
        return
    has = f"; it has everything up to snapshot {told.complete_to}" if told.highest_seq else ""
    yield ok("hub", f"{client.url} takes pushes{has}")
    if settings.force_method == "cloud" or not settings.enable_fallback:
        yield note("hub", "the settings do not let it stand in for the bucket")
    if (theirs := _date(client.url)) is not None:
        yield clock.compared("hub", theirs, instance.clock())


def _date(url: str) -> datetime | None:
    """What time the hub says it is; None where it does not."""
    try:
        answer = httpx.get(f"{url}/healthz", timeout=CALL_S)
        return parsedate_to_datetime(answer.headers["date"])
    except (httpx.HTTPError, KeyError, ValueError):
        return None
