"""Snapshots that could not be read; whoever may write to a system retries or drops its own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fastapi import Request
from nicegui import ui

from recall_daemon.operations import Json, Operations
from recall_daemon.serve.dashboard import layout
from recall_daemon.serve.dashboard.layout import asking
from recall_daemon.serve.dashboard.text import Words, moment, pairs, size
from recall_daemon.serve.dashboard.visit import Visit
from recall_daemon.store.ledger import Place

INTERVAL_S = 5.0
# A flood of bad snapshots must not drown the page.
SHOWN_MAX = 200


def install() -> None:
    ui.page("/quarantine", response_timeout=30)(quarantine)


async def quarantine(request: Request) -> None:
    visit = Visit(request)
    with layout.page(visit, "Quarantine"):
        Words(
            "Snapshots that could not be read. They are kept, their instances are told, and "
            "nothing else waits for them.",
            "p",
            "quiet",
        )
        shown = _Quarantine(visit)
        await shown.refresh()
        ui.timer(INTERVAL_S, shown.refresh, immediate=False)


class _Quarantine:
    def __init__(self, visit: Visit) -> None:
        self._visit = visit
        self._shown: list[Json] | None = None
        self._place = ui.element("div")

    async def refresh(self) -> None:
        """Draw the list anew where it has changed."""
        listed = await self._visit.read(lambda hub, _: hub.quarantine_list()["quarantined"])
        if listed is None or listed == self._shown:
            return
        self._shown = listed
        self._place.clear()
        with self._place:
            if not listed:
                layout.notice("Nothing is in quarantine.")
            for entry in listed[:SHOWN_MAX]:
                self._entry(entry)
            if len(listed) > SHOWN_MAX:
                layout.notice(f"And {len(listed) - SHOWN_MAX} more: `recalld quarantine list`.")

    def _entry(self, entry: Json) -> None:
        place = Place(entry["system_id"], entry["seq"], entry["sub"])
        with ui.element("article").classes("memory"):
            Words(str(place), "h2")
            Words(entry["reason"] or "no reason was noted", "p", "reason")
            pairs(
                (
                    ("State", entry["state"]),
                    ("Came by", entry["origin"]),
                    ("Bytes", size(entry["bytes"]) if entry["bytes"] else None),
                    ("First seen", moment(entry["first_seen_at"])),
                    ("Put here", moment(entry["settled_at"])),
                    ("Object", entry["locator"]),
                )
            )
            if self._visit.may_write(place.system_id):
                self._actions(place)

    def _actions(self, place: Place) -> None:
        def retry() -> Any:
            return self._do(lambda hub: hub.quarantine_retry(place), f"{place} is read again soon")

        with ui.element("div").classes("actions"):
            button = Words("Retry", "button", "primary")
            button.props(f'type=button aria-label="Retry {place}"').on("click", retry)
            button = Words("Drop", "button")
            button.props(f'type=button aria-label="Drop {place}"')
            button.on("click", lambda: self._ask_to_drop(place))

    def _ask_to_drop(self, place: Place) -> None:
        async def drop() -> None:
            dialog.close()
            await self._do(lambda hub: hub.quarantine_drop(place), f"{place} was given up")

        with asking(f"Drop {place}?") as dialog:
            Words("Its number counts as settled and its rows do not come. It stays in the bucket.")
            with ui.element("div").classes("actions"):
                Words("Drop it", "button", "danger").props("type=button").on("click", drop)
                Words("Keep it", "button").props("type=button autofocus").on("click", dialog.close)

    async def _do(self, work: Callable[[Operations], Json], said: str) -> None:
        if await self._visit.read(lambda hub, _: work(hub)) is not None:
            with self._place.client:
                ui.notify(said, type="positive")
            await self.refresh()
