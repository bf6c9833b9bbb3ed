"""Words on a page. Whatever a memory holds is text: no HTML, no Markdown, no template."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

from nicegui import ui
from nicegui.elements.mixins.text_element import TextElement

_UNITS = ((86_400, "d"), (3_600, "h"), (60, "min"), (1, "s"))
_SIZES = ("B", "KiB", "MiB", "GiB", "TiB")


class Words(TextElement):
    """An element of any tag with nothing but text in it."""

    def __init__(self, text: object, tag: str = "span", classes: str = "") -> None:
        super().__init__(tag=tag, text=str(text))
        self.classes(classes)


def heading(text: str, level: int = 2) -> Words:
    return Words(text, f"h{level}")


def link(text: str, target: str) -> Words:
    """A link within the dashboard."""
    element = Words(text, "a")
    element._props["href"] = target
    return element


def button(text: str, label: str, act: Callable[[], Any], kind: str = "") -> None:
    """`label` says of what it is a button: pages have several of the same text."""
    element = Words(text, "button", kind).props("type=button")
    element._props["aria-label"] = label
    element.on("click", act)


def address(path: str, **parameters: object) -> str:
    """A page's address; parameters that are empty are left out."""
    given = {name: value for name, value in parameters.items() if value not in (None, "", ())}
    return f"{path}?{urlencode(given, doseq=True)}" if given else path


def pairs(rows: Iterable[tuple[str, object]]) -> None:
    """Names and values as a description list; those without a value are left out."""
    with ui.element("dl").classes("pairs"):
        for name, value in rows:
            if value not in (None, "", [], ()):
                with ui.element("div"):
                    Words(name, "dt")
                    Words(value, "dd")


def table(caption: str, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """A plain table that scrolls sideways in a narrow window."""
    region = ui.element("div").classes("scroll")
    region.props(f'tabindex=0 role=region aria-label="{caption}"')
    with region, ui.element("table"):
        with ui.element("thead"), ui.element("tr"):
            for column in columns:
                Words(column, "th").props("scope=col")
        with ui.element("tbody"):
            for row in rows:
                with ui.element("tr"):
                    for cell in row:
                        Words(cell, "td")


def duration(seconds: float | None) -> str:
    """The two largest units: 2 d 3 h."""
    if seconds is None:
        return "-"
    left = int(seconds)
    parts: list[str] = []
    for size, unit in _UNITS:
        if left >= size or (size == 1 and not parts):
            parts.append(f"{left // size} {unit}")
            left %= size
        if len(parts) == 2:
            break
    return " ".join(parts)


def moment(iso: str | None) -> str:
    """2026-01-31 12:00:00 UTC."""
    if iso is None:
        return "-"
    return datetime.fromisoformat(iso).astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def size(count: float) -> str:
    for unit in _SIZES:
        if count < 1024 or unit == _SIZES[-1]:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1024
    raise AssertionError


def number(count: int | float | None) -> str:
    return "-" if count is None else f"{count:,.0f}"


def ranges(spans: Sequence[Sequence[int]], most: int = 4) -> str:
    """41, 50-60, and more."""
    said = [str(first) if first == last else f"{first}-{last}" for first, last in spans[:most]]
    return ", ".join([*said, *(["…"] if len(spans) > most else [])])
