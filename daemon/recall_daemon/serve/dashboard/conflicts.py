"""Memories that several changed at the same time: both sides, a diff, and deciding between them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from fastapi import Request
from nicegui import ui

from recall_daemon.agents.actor import Actor
from recall_daemon.agents.decisions import Decision
from recall_daemon.agents.review_pages import Asked, conflict_page
from recall_daemon.agents.shared import Shared
from recall_daemon.errors import ConflictNotFound
from recall_daemon.operations import Json
from recall_daemon.serve.dashboard import layout
from recall_daemon.serve.dashboard.layout import asking
from recall_daemon.serve.dashboard.text import Words, address, button, heading, link, moment, table
from recall_daemon.serve.dashboard.visit import Visit

INTERVAL_S: Final = 5.0
# A longer text is merged by `recalld conflicts resolve --content -`.
MERGED_MAX_CHARS: Final = 100_000
_STATES: Final = {"open": "Open", "resolved": "Resolved", "superseded": "Superseded", "all": "All"}
# Of a unified diff: which side is which.
_DIFF_HEAD: Final = 2
_DIFF: Final = {"+": "added", "-": "removed", "@": "quiet"}


def install() -> None:
    ui.page("/conflicts", response_timeout=30)(conflicts)


async def conflicts(request: Request) -> None:
    visit = Visit(request)
    asked = visit.asked("state")
    state: Asked = asked if asked in _STATES else "open"  # type: ignore[assignment]
    with layout.page(visit, "Conflicts"):
        Words(
            "Several changed the same field of a memory, each without knowing of the other. Both "
            "sides are kept; which one is served can be decided, and undone.",
            "p",
            "quiet",
        )
        _states(state)
        shown = _Conflicts(visit, state, visit.asked("cursor") or None)
        await shown.refresh()
        ui.timer(INTERVAL_S, shown.refresh, immediate=False)


def _states(current: Asked) -> None:
    with ui.element("nav").props('aria-label="Which conflicts"').classes("origin"):
        for state, name in _STATES.items():
            entry = link(name, address("/conflicts", state=state))
            if state == current:
                entry.props("aria-current=page")


class _Conflicts:
    def __init__(self, visit: Visit, state: Asked, cursor: str | None) -> None:
        self._visit = visit
        self._state = state
        self._cursor = cursor
        self._shown: Json | None = None
        self._place = ui.element("div")

    async def refresh(self) -> None:
        """Draw the list anew where it has changed."""
        told = await self._visit.ask(self._read)
        if told is None or told == self._shown:
            return
        self._shown = told
        self._place.clear()
        with self._place:
            if not told["conflicts"]:
                layout.notice("No conflict waits." if self._state == "open" else "There are none.")
            for one in told["conflicts"]:
                self._conflict(one)
            if told["next_cursor"]:
                more = address("/conflicts", state=self._state, cursor=told["next_cursor"])
                with ui.element("p").classes("pages"):
                    link("More", more)

    def _read(self, shared: Shared, actor: Actor) -> Json:
        page = conflict_page(shared.review, actor, self._state, cursor=self._cursor)
        found = [_one(shared, actor, one["conflict_id"]) for one in page["conflicts"]]
        return {**page, "conflicts": [one for one in found if one is not None]}

    def _conflict(self, one: Json) -> None:
        name = f"{one['system_id']} / {one['memory_id']}"
        with ui.element("article").classes("memory"):
            with ui.element("h2"):
                link(name, address("/memory", system=one["system_id"], id=one["memory_id"]))
            Words(_about(one), "p", "quiet")
            with ui.element("div").classes("sides"):
                _side("Ours", one["ours"])
                _side("Theirs", one["theirs"])
            _fields(one)
            _diff(one["diff"])
            if self._visit.may_write(one["system_id"]):
                self._actions(one, name)

    def _actions(self, one: Json, name: str) -> None:
        conflict_id = one["conflict_id"]

        def choose(side: Any) -> Callable[[], Any]:
            return lambda: self._resolve(conflict_id, Decision(choose=side))

        with ui.element("div").classes("actions"):
            if one["state"] == "open":
                button("Choose ours", f"Choose ours of {name}", choose("ours"))
                button("Choose theirs", f"Choose theirs of {name}", choose("theirs"))
                if len(_content(one)) <= MERGED_MAX_CHARS:
                    button("Merge…", f"Merge {name}", lambda: self._ask_to_merge(one, name))
            elif one["state"] == "resolved":
                button("Undo", f"Undo the resolution of {name}", lambda: self._undo(conflict_id))

    def _ask_to_merge(self, one: Json, name: str) -> None:
        async def store() -> None:
            if await self._resolve(one["conflict_id"], Decision(text=said.value)):
                dialog.close()

        with asking(f"Merge {name}", "wide") as dialog:
            Words("What both sides should say:")
            said = ui.textarea(value=_content(one)).props(
                f'outlined autogrow autofocus aria-label="Merged text" maxlength={MERGED_MAX_CHARS}'
            )
            _diff(one["diff"])
            with ui.element("div").classes("actions"):
                button("Store it", "Store the merged text", store, "primary")
                button("Cancel", "Cancel", dialog.close)

    async def _resolve(self, conflict_id: str, decision: Decision) -> bool:
        return await self._do(
            lambda shared, actor: shared.review.resolve(actor, conflict_id, decision), "Resolved"
        )

    async def _undo(self, conflict_id: str) -> bool:
        return await self._do(
            lambda shared, actor: shared.review.undo(actor, conflict_id), "It is open again"
        )

    async def _do(self, work: Callable[[Shared, Actor], Json], said: str) -> bool:
        done = await self._visit.ask(work)
        if done is not None:
            with self._place.client:
                ui.notify(said, type="positive")
            await self.refresh()
        return done is not None


def _one(shared: Shared, actor: Actor, conflict_id: str) -> Json | None:
    """None for one that has gone, or out of sight, since it was listed."""
    try:
        return shared.review.conflict(actor, conflict_id)
    except ConflictNotFound:
        return None


def _about(one: Json) -> str:
    said = f"{', '.join(one['fields'])} · {one['state']} · since {moment(one['detected_at'])}"
    if one["resolved_at"] is None:
        return said
    return f"{said} · by {one['resolved_by']}, {one['strategy']}, {moment(one['resolved_at'])}"


def _side(title: str, side: Json) -> None:
    with ui.element("section"):
        heading(title, 3)
        who = side.get("agent_id") or side.get("author") or "nobody named"
        when = moment(side["written_at"]) if side.get("written_at") else "no time"
        served = " · served now" if side["served"] else ""
        Words(f"{who} · {when}{served}", "p", "quiet")
        record = side["record"]
        said = "Its content is not kept any more." if record is None else record["content"]
        Words(said or "It has no text.", "p", "text")


def _fields(one: Json) -> None:
    """What is in question beside the text."""
    sides = [one[side]["record"] for side in ("ours", "theirs")]
    ours, theirs = sides
    names = [] if ours is None or theirs is None else [n for n in one["fields"] if n in ours]
    if names:
        rows = [(name, str(ours[name]), str(theirs[name])) for name in names]
        table("Other fields", ("Field", "Ours", "Theirs"), rows)


def _diff(lines: list[str]) -> None:
    if not lines:
        return
    with ui.element("pre").classes("diff").props('tabindex=0 aria-label="Diff"'):
        for number, line in enumerate(lines):
            kind = "quiet" if number < _DIFF_HEAD else _DIFF.get(line[:1], "")
            Words(line, "span", kind)


def _content(one: Json) -> str:
    record = one["ours"]["record"] or one["theirs"]["record"] or {}
    return record.get("content") or ""
