"""Rates over time, drawn by ECharts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from nicegui import ui

from recall_daemon.serve.dashboard.rates import Sample
from recall_daemon.serve.dashboard.text import heading

_SERIES: tuple[tuple[str, str, Callable[[Sample], float]], ...] = (
    ("Rows merged a second", "#0b6bcb", lambda sample: sample.rows_per_s),
    ("Texts embedded a second", "#0f8a5f", lambda sample: sample.texts_per_s),
    ("Texts that wait for a vector", "#b45309", lambda sample: sample.backlog),
)


class Charts:
    """One small chart each for rows, texts and backlog."""

    def __init__(self, samples: Sequence[Sample]) -> None:
        self._newest: Sample | None = None
        with ui.element("section").classes("charts").props('aria-label="Over time"'):
            self._charts = [_chart(name, colour) for name, colour, _ in _SERIES]
        self.show(samples)

    def show(self, samples: Sequence[Sample]) -> None:
        """Redraw where there is a newer sample."""
        newest = samples[-1] if samples else None
        if newest is self._newest:
            return
        self._newest = newest
        for chart, (_, _, value) in zip(self._charts, _SERIES, strict=True):
            points = [[sample.at.timestamp() * 1000, round(value(sample), 2)] for sample in samples]
            chart.options["series"][0]["data"] = points
            chart.update()


def _chart(name: str, colour: str) -> ui.echart:
    with ui.element("figure"):
        heading(name, 2)
        # As SVG its words take their colour from the page's style sheet, light or dark.
        return ui.echart(_options(colour), renderer="svg").props(
            f'role=img aria-label="{name}, over the last hours"'
        )


def _options(colour: str) -> dict[str, Any]:
    return {
        "animation": False,
        "grid": {"left": 8, "right": 12, "top": 12, "bottom": 4, "containLabel": True},
        "xAxis": {"type": "time", "splitNumber": 3, "axisLabel": {"hideOverlap": True}},
        "yAxis": {
            "type": "value",
            "min": 0,
            "splitNumber": 3,
            "splitLine": {"lineStyle": {"color": "rgba(128, 128, 128, 0.25)"}},
        },
        "tooltip": {"trigger": "axis", "renderMode": "richText"},
        "series": [
            {
                "type": "line",
                "showSymbol": False,
                "color": colour,
                "areaStyle": {"opacity": 0.15},
                "data": [],
            }
        ],
    }
