"""A memory's page: its text and fields, where it came from, what happened to it, what is near.

One that is not there any more: what became of it, and having it back.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

from fastapi import Request
from nicegui import ui

from recall_daemon.access.caller import Caller
from recall_daemon.errors import MemoryNotFound
from recall_daemon.operations import Json, Operations
from recall_daemon.serve.dashboard import layout
from recall_daemon.serve.dashboard.acts import Redraw, show_fate
from recall_daemon.serve.dashboard.beside import show_beside
from recall_daemon.serve.dashboard.hit import show_memory, target
from recall_daemon.serve.dashboard.text import Words, heading, link, moment, pairs, table
from recall_daemon.serve.dashboard.visit import Visit

NEAREST = 8
_BRIEF_CHARS = 160


def install() -> None:
    ui.page("/memory", response_timeout=60)(memory)


async def memory(request: Request) -> None:
    visit = Visit(request)
    with layout.page(visit, "Memory"):
        place = ui.element("div")

    async def draw() -> None:
        place.clear()
        with place:
            await _draw(visit, draw)

    await draw()


async def _draw(visit: Visit, redraw: Redraw) -> None:
    name = (visit.asked("system"), visit.asked_exactly("id"))
    found = await visit.read(lambda _, caller: _find(visit, caller, *name))
    if found is None:
        if not await show_fate(visit, "/".join(name), redraw):
            layout.notice("There is no such memory, or none that you may see.", "bad")
        return
    Words(found["memory_id"], "p", "id")
    _text(found, visit.asked("start"), visit.asked("end"))
    _fields(found)
    await _history(visit, found)
    await show_beside(visit, found["system_id"], found["memory_id"], redraw)
    await _related(visit, found)


def _find(visit: Visit, caller: Caller, system_id: str, memory_id: str) -> Json | None:
    try:
        return visit.dashboard.memories.get(system_id, memory_id, caller.reach)
    except MemoryNotFound:
        return None


def _text(found: Json, start: str, end: str) -> None:
    text = found["text"]
    if text is None:
        reason = found["text_missing"]
        layout.notice(f"Its text is away: {reason}" if reason else "It has no text.", "warn")
        if found["summary"]:
            Words(found["summary"], "p", "text whole")
        return
    with ui.element("div").classes("text whole"):
        for part, marked in parts(text, start, end):
            Words(part, "mark" if marked else "span")


def parts(text: str, start: str, end: str) -> Sequence[tuple[str, bool]]:
    """The text cut at the passage that the address names, if it is one."""
    if not all(bound.isascii() and bound.isdigit() and len(bound) <= 9 for bound in (start, end)):
        return [(text, False)]
    first, last = int(start), min(int(end), len(text))
    if first >= last or (first, last) == (0, len(text)):
        return [(text, False)]
    cut = ((text[:first], False), (text[first:last], True), (text[last:], False))
    return [piece for piece in cut if piece[0]]


def _fields(found: Json) -> None:
    heading("Fields")
    pairs(
        (
            ("System", found["system_id"]),
            ("Kind", found["kind"]),
            ("Project", found["project"]),
            ("Namespace", found["namespace"]),
            ("Session", found["session_id"]),
            ("Agent", found["agent_id"]),
            ("User", found["user_id"]),
            ("Tags", ", ".join(found["tags"])),
            ("Importance", found["importance"]),
            ("Created", moment(found["created_at"])),
            ("Updated", found["updated_at"] and moment(found["updated_at"])),
            ("Parent", found["parent_id"]),
            ("Tier", found["tier"]),
        )
    )
    if found["metadata"]:
        with ui.element("details"):
            Words("Metadata", "summary")
            told = json.dumps(found["metadata"], ensure_ascii=False, indent=2)
            Words(told, "pre").props('tabindex=0 aria-label="Metadata"')


async def _history(visit: Visit, found: Json) -> None:
    name = (found["system_id"], found["memory_id"])
    acts = await visit.read(lambda _, caller: _acts(visit, caller, *name))
    events = [(found["merged_at"], "the hub", "merged this version")]
    came = found["snapshot"]
    if came:
        place = f"snapshot {found['seq']}" + (f".{found['sub']}" if found["sub"] else "")
        kind = f", {came['kind']}" if came["kind"] else ""
        made = came["created_at"]
        if made:
            events.append((made, found["system_id"], f"made {place}{kind}"))
        if came["settled_at"]:
            events.append((came["settled_at"], "the hub", f"took in {place}, by {came['origin']}"))
    events += [(act["at"], act["actor"], act["action"]) for act in acts or ()]
    heading("History")
    rows = sorted(events, key=lambda event: event[0], reverse=True)
    table("History", ("When", "Who", "What"), [(moment(at), who, what) for at, who, what in rows])


def _acts(visit: Visit, caller: Caller, system_id: str, memory_id: str) -> list[Json]:
    """The audit log is an admin's."""
    return visit.dashboard.acts_on(system_id, memory_id) if caller.is_admin else []


async def _related(visit: Visit, found: Json) -> None:
    def work(_: Operations, caller: Caller) -> Json:
        return visit.dashboard.memories.related(
            found["system_id"], found["memory_id"], NEAREST, caller.reach
        )

    related = await visit.read(work)
    if related is None:
        return
    if related["before"] or related["after"]:
        heading("In its session")
        with ui.element("ol").classes("turns"):
            _turns(related["before"])
            Words("this memory", "li", "here").props("aria-current=true")
            _turns(related["after"])
    heading("Related by meaning")
    if not related["embedded"]:
        layout.notice("Its vector is not there yet.")
    elif not related["nearest"]:
        layout.notice("Nothing else is near.")
    for one in related["nearest"]:
        show_memory(one, one["score"])


def _turns(turns: Sequence[Json]) -> None:
    for turn in turns:
        with ui.element("li"):
            said = turn["text"] or turn["summary"] or turn["memory_id"]
            link(said[:_BRIEF_CHARS] + ("…" if len(said) > _BRIEF_CHARS else ""), target(turn))
            Words(f" {moment(turn['created_at'])}", "span", "quiet")
