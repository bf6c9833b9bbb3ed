"""The front page: each system, how fast memories come in, and what each tier holds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fastapi import Request
from nicegui import ui

from recall_daemon.operations import Json
from recall_daemon.serve.dashboard import layout
from recall_daemon.serve.dashboard.charts import Charts
from recall_daemon.serve.dashboard.text import Words, duration, heading, number, ranges, size, table
from recall_daemon.serve.dashboard.visit import Visit

INTERVAL_S = 3.0
_SYSTEM = """params => {
  const link = document.createElement('a');
  link.href = '/search?system=' + encodeURIComponent(params.value);
  link.textContent = params.value;
  return link;
}"""
_NUMBER = "params => params.value.toLocaleString('en-US')"
_LAG = """params => {
  const s = params.value;
  if (s < 1) return '-';
  if (s < 120) return Math.round(s) + ' s';
  if (s < 7200) return Math.round(s / 60) + ' min';
  return s < 172800 ? Math.round(s / 3600) + ' h' : Math.round(s / 86400) + ' d';
}"""
_TIME = """params => params.value ? new Date(params.value).toLocaleString('sv-SE') : 'never'"""
_EMPTY = (
    "No system has been seen yet. On a machine with memories, `recall init` and `recall upload` "
    "put them into the bucket; the next poll brings them here."
)


def install() -> None:
    ui.page("/", response_timeout=30)(fleet)


async def fleet(request: Request) -> None:
    visit = Visit(request)
    status = await visit.read(lambda _, caller: visit.dashboard.status.of(caller))
    with layout.page(visit, "Fleet"):
        if status is None:
            layout.notice("The hub could not say how it stands. Try again in a moment.", "bad")
            return
        shown = _Fleet(visit, status)
        ui.timer(INTERVAL_S, shown.refresh, immediate=False)
        if visit.is_admin:
            await _tiers(visit)


class _Fleet:
    """The live part of the page."""

    def __init__(self, visit: Visit, status: Json) -> None:
        self._visit = visit
        self._degraded = layout.notice(
            "Degraded: there is no model, memories are found by their words alone.", "warn"
        )
        self._empty = layout.notice(_EMPTY)
        with ui.element("dl").classes("tiles"):
            self._tiles = {name: _tile(name) for name in _TILES}
        samples = visit.dashboard.rates.samples
        self._charts = Charts(samples) if visit.sees_everything else None
        heading("Systems")
        self._grid = _Grid()
        self._show(status)

    async def refresh(self) -> None:
        status = await self._visit.read(lambda _, caller: self._visit.dashboard.status.of(caller))
        if status is not None:
            self._show(status)

    def _show(self, status: Json) -> None:
        systems = status["systems"]
        self._degraded.set_visibility(status["degraded"])
        self._empty.set_visibility(not systems)
        rows = sorted(map(_row, systems), key=_urgency)
        for name, count in _counts(status, rows).items():
            self._tiles[name].text = number(count)
        if self._charts is not None:
            self._charts.show(self._visit.dashboard.rates.samples)
        self._grid.show(rows)


_TILES = ("Systems", "Rows", "Backlog", "Lagging", "Missing", "Quarantined")


def _tile(name: str) -> Words:
    with ui.element("div"):
        Words(name, "dt")
        return Words("-", "dd")


def _counts(status: Json, rows: list[Json]) -> Mapping[str, int]:
    return {
        "Systems": len(rows),
        "Rows": status["rows"],
        "Backlog": status["backlog"],
        "Lagging": sum(row["lag_s"] > 0 for row in rows),
        "Missing": sum(row["missing"] for row in rows),
        "Quarantined": sum(row["quarantined"] for row in rows),
    }


def _row(system: Json) -> Json:
    missing = system["missing"]
    quarantined = len(system["quarantined"])
    return {
        "system_id": system["system_id"],
        "state": _state(system, bool(missing), quarantined),
        "lag_s": system["lag_s"],
        "complete_to": system["complete_to"],
        "missing": sum(last - first + 1 for first, last in missing),
        "which": ranges(missing),
        "quarantined": quarantined,
        "rows": system["rows"],
        "seen": system["last_merged_at"],
        "warning": system["warning"],
    }


def _state(system: Json, missing: bool, quarantined: int) -> str:
    if system["warning"]:
        return "clash"
    if quarantined:
        return "quarantine"
    if missing:
        return "missing"
    return "lagging" if system["lag_s"] > 0 else "ok"


def _urgency(row: Json) -> tuple[int, float, str]:
    """What needs somebody comes first."""
    return _STATES.index(row["state"]), -row["lag_s"], row["system_id"]


_STATES = ("clash", "quarantine", "missing", "lagging", "ok")
_COLUMNS: list[Json] = [
    {
        "field": "system_id",
        "headerName": "System",
        ":cellRenderer": _SYSTEM,
        "flex": 2,
        "minWidth": 150,
        "filter": "agTextColumnFilter",
    },
    {"field": "state", "headerName": "State", "minWidth": 110, "tooltipField": "warning"},
    {"field": "lag_s", "headerName": "Lag", ":valueFormatter": _LAG},
    {"field": "complete_to", "headerName": "Complete to", ":valueFormatter": _NUMBER},
    {
        "field": "missing",
        "headerName": "Missing",
        ":valueFormatter": "params => params.data.which || '-'",
    },
    {"field": "quarantined", "headerName": "Quarantined", ":valueFormatter": _NUMBER},
    {"field": "rows", "headerName": "Rows", ":valueFormatter": _NUMBER},
    {"field": "seen", "headerName": "Last seen", ":valueFormatter": _TIME, "minWidth": 165},
]
# So many rows are shown whole; more scroll, and only those in sight are drawn.
_WHOLE_ROWS = 12


class _Grid:
    """The systems in an AG Grid, which is sent those rows alone that changed."""

    def __init__(self) -> None:
        self._sent: dict[str, Json] = {}
        self._grid: ui.aggrid | None = None
        self._place = ui.element("div").classes("grid")

    def show(self, rows: list[Json]) -> None:
        found = {row["system_id"]: row for row in rows}
        before, self._sent = self._sent, found
        if self._grid is None or (len(before) > _WHOLE_ROWS) != (len(found) > _WHOLE_ROWS):
            self._draw(rows)
            return
        changes = _changes(before, found)
        if changes:
            self._grid.run_grid_method("applyTransaction", changes)

    def _draw(self, rows: list[Json]) -> None:
        self._place.clear()
        if not rows:
            self._grid = None
            return
        whole = len(rows) <= _WHOLE_ROWS
        with self._place:
            self._grid = ui.aggrid(_options(rows, whole=whole)).classes(
                "whole" if whole else "long"
            )


def _changes(before: Mapping[str, Json], now: Mapping[str, Json]) -> dict[str, Any]:
    changes = {
        "add": [row for name, row in now.items() if name not in before],
        "update": [row for name, row in now.items() if before.get(name, row) != row],
        "remove": [row for name, row in before.items() if name not in now],
    }
    return {kind: rows for kind, rows in changes.items() if rows}


def _options(rows: list[Json], *, whole: bool) -> Json:
    return {
        "columnDefs": _COLUMNS,
        "defaultColDef": {"flex": 1, "minWidth": 95, "sortable": True, "resizable": True},
        "rowData": rows,
        ":getRowId": "params => params.data.system_id",
        "domLayout": "autoHeight" if whole else "normal",
        "suppressCellFocus": False,
        "enableCellTextSelection": True,
        "rowClassRules": {"bad": "data.state !== 'ok' && data.state !== 'lagging'"},
    }


async def _tiers(visit: Visit) -> None:
    report = await visit.read(lambda _, caller: visit.dashboard.tiers.of(caller))
    if report is None:
        return
    heading("Tiers")
    table(
        "Tiers",
        ("Tier", "Rows", "Bytes", "Of texts", "Of vectors", "Oldest"),
        [
            (
                held["tier"],
                number(held["rows"]),
                size(held["bytes"]),
                size(held["text_bytes"]),
                size(held["vector_bytes"]),
                duration(held["oldest_age_s"]),
            )
            for held in report["tiers"]
        ],
    )
    cold = report["cold"]
    Words(
        f"{number(cold['files'])} files in the bucket hold the texts of cold rows, "
        f"{size(cold['bytes'])}.",
        "p",
        "quiet",
    )
