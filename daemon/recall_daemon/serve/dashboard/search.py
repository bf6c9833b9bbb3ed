"""The search page. All it shows follows from its address, so that a link says everything."""

from __future__ import annotations

from typing import get_args

from fastapi import Request
from nicegui import ui

from recall_daemon.access.caller import Caller
from recall_daemon.index.filters import Filters
from recall_daemon.operations import Json, Operations
from recall_daemon.search.query import Mode, SearchRequest
from recall_daemon.serve.dashboard import layout
from recall_daemon.serve.dashboard.hit import show_hit, show_memory
from recall_daemon.serve.dashboard.text import Words, address, heading, link
from recall_daemon.serve.dashboard.visit import Visit

LIMIT = 10
KINDS = ("conversation", "reflection", "insight", "note")
_TEXTS = ("system", "project", "session")
_FILTERS = (*_TEXTS, "kind", "since", "until")
_LISTED_MAX = 1000


def install() -> None:
    ui.page("/search", response_timeout=60)(search)


async def search(request: Request) -> None:
    visit = Visit(request)
    asked = {name: visit.asked(name) for name in ("q", *_FILTERS, "mode")}
    with layout.page(visit, "Search"):
        status = await visit.read(lambda _, caller: visit.dashboard.status.of(caller))
        known = [system["system_id"] for system in (status or {"systems": ()})["systems"]]
        _form(asked, known[:_LISTED_MAX])
        if asked["q"]:
            await _found(visit, asked)
        else:
            await _recent(visit, asked)


def _form(asked: dict[str, str], systems: list[str]) -> None:
    with ui.element("form").props("action=/search method=get role=search").classes("search"):
        _input("q", "Search memories", asked["q"], kind="search", classes="wide")
        with ui.element("details").classes("filters") as filters:
            Words("Filters", "summary")
            with ui.element("div"):
                for name in _TEXTS:
                    _input(name, name.capitalize(), asked[name], choices=name == "system")
                _select("kind", "Kind", KINDS, asked["kind"], everything="any")
                _input("since", "Since", asked["since"], kind="date")
                _input("until", "Before", asked["until"], kind="date")
                _select("mode", "Mode", get_args(Mode), asked["mode"] or "hybrid")
        if any(asked[name] for name in _FILTERS) or asked["mode"] not in ("", "hybrid"):
            filters._props["open"] = True
        with ui.element("datalist").props("id=systems"):
            for name in systems:
                ui.element("option")._props["value"] = name
        Words("Search", "button", "primary").props("type=submit")


def _input(
    name: str,
    label: str,
    value: str,
    *,
    kind: str = "text",
    choices: bool = False,
    classes: str = "",
) -> None:
    with ui.element("label").classes(classes):
        Words(label)
        field = ui.element("input").props(f"name={name} type={kind} autocomplete=off")
        field._props["value"] = value
        if choices:
            field.props("list=systems")


def _select(
    name: str, label: str, options: tuple[str, ...], chosen: str, *, everything: str = ""
) -> None:
    with ui.element("label"):
        Words(label)
        with ui.element("select").props(f"name={name}"):
            for option in (*([""] if everything else []), *options):
                entry = Words(option or everything, "option")
                entry._props["value"] = option
                if option == chosen:
                    entry._props["selected"] = True


async def _found(visit: Visit, asked: dict[str, str]) -> None:
    offset = _whole(visit.asked("offset"))

    def work(hub: Operations, _: Caller) -> Json:
        return hub.search(_request(asked, offset))

    answer = await visit.read(work)
    if answer is None:
        layout.notice("This could not be searched for; the message says why.", "bad")
        return
    _remarks(answer)
    heading("Results")
    for number, hit in enumerate(answer["hits"], start=offset + 1):
        show_hit(number, hit)
    if not answer["hits"]:
        layout.notice("Nothing was found. Fewer words or filters may find more.")
    _pages(asked, offset, answer["next_offset"])


def _request(asked: dict[str, str], offset: int) -> SearchRequest:
    body: Json = {name: asked[name] for name in _FILTERS if asked[name]}
    if asked["mode"]:
        body["mode"] = asked["mode"]
    return SearchRequest.from_json(
        {"query": asked["q"], **body, "limit": LIMIT, "offset": offset, "explain": True}
    )


def _remarks(answer: Json) -> None:
    if answer["degraded"]:
        layout.notice("Degraded: the search went by words alone.", "warn")
    if answer["incomplete"]:
        layout.notice("Incomplete: the index is still being read, or lacks words.", "warn")
    if answer["quotes_not_held"]:
        quotes = ", ".join(f"“{quote}”" for quote in answer["quotes_not_held"])
        layout.notice(f"No memory has {quotes}; the other words were searched for.", "warn")


def _pages(asked: dict[str, str], offset: int, following: int | None) -> None:
    with ui.element("nav").classes("pages").props('aria-label="Pages of results"'):
        if offset:
            link("← Previous", address("/search", **asked, offset=max(offset - LIMIT, 0)))
        if following is not None:
            link("Next →", address("/search", **asked, offset=following))


async def _recent(visit: Visit, asked: dict[str, str]) -> None:
    cursor = visit.asked("cursor") or None

    def work(_: Operations, caller: Caller) -> Json:
        filters = _filters(asked)
        return visit.dashboard.memories.recent(filters, LIMIT, cursor, caller.reach)

    answer = await visit.read(work)
    if answer is None:
        layout.notice("These filters cannot be used; the message says why.", "bad")
        return
    heading("The newest memories")
    for memory in answer["memories"]:
        show_memory(memory)
    if not answer["memories"]:
        layout.notice("There are no memories here yet.")
    if answer["next_cursor"] is not None:
        with ui.element("nav").classes("pages").props('aria-label="Pages of results"'):
            link("Older →", address("/search", **asked, cursor=answer["next_cursor"]))


def _filters(asked: dict[str, str]) -> Filters:
    """Read by the same rules as a search's. Raises `QueryInvalid`."""
    return _request({**asked, "q": "any", "mode": ""}, 0).filters


def _whole(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 4 else 0
