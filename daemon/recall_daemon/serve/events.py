"""`GET /v1/events`: what happens, as server-sent events; and the newest of it as a list."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from typing import Annotated, Final

from fastapi import FastAPI, Header, Query
from fastapi.responses import JSONResponse, StreamingResponse
from fastapi.sse import format_sse_event

from recall_daemon.access.events import Wanted
from recall_daemon.errors import TooManySubscribers
from recall_daemon.operations import Operations
from recall_daemon.serve.subscribers import News, Subscribers
from recall_daemon.serve.who import Who
from recall_daemon.store.events import Event
from recall_wire.errors import RecallError

STATUSES: Final[Mapping[type[RecallError], int]] = {TooManySubscribers: 503}

LOST: Final = "events.lost"
LIST_MAX: Final = 1_000
RETRY_MS: Final = 3_000
_HEADERS: Final = {"cache-control": "no-store", "x-accel-buffering": "no"}

Names = Annotated[list[str] | None, Query(max_length=100)]
Number = Annotated[int | None, Query(ge=0, le=2**63 - 1)]
Seen = Annotated[int | None, Header(ge=0, le=2**63 - 1)]


class EventStream(StreamingResponse):
    """FastAPI's own response of this type runs two tasks and two queues for each client."""

    media_type = "text/event-stream"


def install(app: FastAPI, hub: Operations, subscribers: Subscribers) -> None:
    """Add the routes to an app whose errors are answered as problems, with `STATUSES`."""
    _follow(app, subscribers)
    _recent(app, hub)


def _follow(app: FastAPI, subscribers: Subscribers) -> None:
    @app.get("/v1/events", response_class=EventStream)
    async def events(
        caller: Who,
        kind: Names = None,
        system: Names = None,
        after: Number = None,
        last_event_id: Seen = None,
    ) -> EventStream:
        """What happens from now on, or after the event of `Last-Event-ID` or `?after=`.

        Each has its number as `id` and its kind as `event`; `data` is what `/v1/events/recent`
        lists. `events.lost` says that what followed that number is no longer kept. A comment every
        15 seconds shows that the hub is there.
        """
        wanted = Wanted(caller.reach, frozenset(kind or ()), frozenset(system or ()))
        subscribers.check_room()
        news = subscribers.follow(after if last_event_id is None else last_event_id)
        return EventStream(_stream(news, wanted), headers=dict(_HEADERS))


async def _stream(following: AsyncIterator[News], wanted: Wanted) -> AsyncIterator[bytes]:
    yield format_sse_event(retry=RETRY_MS)
    async for news in following:
        if news.lost:
            yield _lost(news)
        chunk = b"".join(_event(wanted, event) for event in news.events if wanted.holds(event))
        if chunk or not news.events:
            yield chunk or format_sse_event(comment="here")


def _event(wanted: Wanted, event: Event) -> bytes:
    said = wanted.to_json(event)
    return format_sse_event(
        data_str=json.dumps(said, ensure_ascii=False), event=event.kind, id=str(event.event_id)
    )


def _lost(news: News) -> bytes:
    """Its number is that before the next event: whoever resumes there has been told."""
    at = news.events[0].event_id - 1 if news.events else news.at
    return format_sse_event(data_str=json.dumps({"resumed_after": at}), event=LOST, id=str(at))


def _recent(app: FastAPI, hub: Operations) -> None:
    @app.get("/v1/events/recent")
    def recent(
        caller: Who,
        kind: Names = None,
        system: Names = None,
        limit: Annotated[int, Query(ge=1, le=LIST_MAX)] = 100,
    ) -> JSONResponse:
        """`{events: [{event_id, happened_at, kind, system_id, body}]}`, the newest first."""
        return JSONResponse(hub.seen_by(caller).events(limit, kind or (), system or ()))
