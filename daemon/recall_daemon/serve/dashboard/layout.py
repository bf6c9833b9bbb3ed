"""What every page has: the way to the others, a search field, light and dark, one heading."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from nicegui import ui

from recall_daemon.serve.dashboard.text import Words, heading, link
from recall_daemon.serve.dashboard.visit import Visit

_CSS = (Path(__file__).parent / "dashboard.css").read_text(encoding="utf-8")
_SCRIPT = """
document.addEventListener('keydown', event => {
  const at = event.target;
  const typing = at.isContentEditable || ['INPUT', 'TEXTAREA', 'SELECT'].includes(at.tagName);
  if (event.key !== '/' || typing || event.ctrlKey || event.metaKey || event.altKey) return;
  const field = document.querySelector('input[type=search]');
  if (field) { event.preventDefault(); field.focus(); field.select(); }
});
"""
_TOGGLE = """() => {
  const dark = !Quasar.Dark.isActive;
  setDark(dark);
  document.cookie = `theme=${dark ? 'dark' : 'light'}; path=/; SameSite=Strict; max-age=31536000`;
}"""
# Behind white words that say how something went.
_TOLD = {"positive": "#17663f", "negative": "#b3261e"}
_PAGES = (
    ("/", "Fleet"),
    ("/search", "Search"),
    ("/agents", "Agents"),
    ("/conflicts", "Conflicts"),
    ("/quarantine", "Quarantine"),
)
_ADMIN_PAGES = (("/jobs", "Jobs"),)


@contextmanager
def page(visit: Visit, title: str) -> Iterator[None]:
    """The frame of a page; its content goes inside."""
    ui.page_title(f"{title} · recalld")
    ui.add_head_html(f"<style>{_CSS}</style><script>{_SCRIPT}</script>")
    ui.colors(**_TOLD)
    ui.dark_mode(visit.theme)
    with ui.header(fixed=False).classes("top"):
        _skip()
        link("recalld", "/").classes("name")
        _navigation(visit)
        if visit.path != "/search":
            _search()
        _theme()
    with ui.element("div").props("id=content tabindex=-1").classes("content"):
        heading(title, 1)
        yield


def _skip() -> None:
    link("Skip to the content", "#content").classes("skip")


def _navigation(visit: Visit) -> None:
    with ui.element("nav").props('aria-label="Pages"'):
        for path, name in (*_PAGES, *(_ADMIN_PAGES if visit.is_admin else ())):
            entry = link(name, path)
            if path == visit.path:
                entry.props("aria-current=page")


def _search() -> None:
    with ui.element("form").props("action=/search method=get role=search").classes("quick"):
        ui.element("input").props(
            'type=search name=q required placeholder="Search ( / )" aria-label="Search memories" '
            "maxlength=1000 autocomplete=off"
        )


def _theme() -> None:
    button = Words("◐", "button", "theme")
    button.props('type=button aria-label="Light or dark" title="Light or dark"')
    button.on("click", js_handler=_TOGGLE)


def notice(text: str, kind: str = "") -> Words:
    """A line that is read out when it appears."""
    return Words(text, "p", f"notice {kind}").props("role=status")


@contextmanager
def asking(question: str, classes: str = "") -> Iterator[ui.dialog]:
    """An open dialog under a heading; what is asked goes inside. Closed, it is gone."""
    with ui.dialog(value=True) as dialog, ui.card().classes(f"ask {classes}"):
        dialog._props["aria-label"] = question
        Words(question, "h2")
        yield dialog
    dialog.on("hide", dialog.delete)
