"""A memory in a list: what it says, where it came from, and of a hit why it was found."""

from __future__ import annotations

from collections.abc import Mapping

from nicegui import ui

from recall_daemon.operations import Json
from recall_daemon.serve.dashboard.text import Words, address, link, moment, pairs

_TEXT_CHARS = 600
_WITNESSES_SHOWN = 10


def show_hit(number: int, hit: Json) -> None:
    """One result of a search, with its explanation folded."""
    passage = hit["passage"]
    with ui.element("article").classes("memory"):
        _head(hit, passage, prefix=f"{number}. ")
        _text(hit, passage)
        _origin(hit, score=hit["score"])
        if hit["witness_count"] > 1:
            _witnesses(hit)
        if hit.get("explanation"):
            with ui.element("details"):
                Words("Why this was found", "summary")
                explanation(hit["explanation"])


def show_memory(memory: Json, score: float | None = None) -> None:
    """One memory of a list."""
    with ui.element("article").classes("memory"):
        _head(memory, None)
        _text(memory, None)
        _origin(memory, score=score)


def target(memory: Json, passage: Json | None = None) -> str:
    """The address of a memory's own page."""
    marks = {} if passage is None else {"start": passage["start"], "end": passage["end"]}
    return address("/memory", system=memory["system_id"], id=memory["memory_id"], **marks)


def _head(memory: Json, passage: Json | None, prefix: str = "") -> None:
    with ui.element("h3"):
        link(f"{prefix}{memory['memory_id']}", target(memory, passage))


def _text(memory: Json, passage: Json | None) -> None:
    if memory["text"] is None:
        if memory["text_missing"]:
            Words(f"Its text is away: {memory['text_missing']}", "p", "quiet")
        Words(memory["summary"] or "It has no text.", "p", "text")
        return
    text = passage["text"] if passage else memory["text"][:_TEXT_CHARS]
    before = "… " if passage and passage["start"] > 0 else ""
    end = passage["end"] if passage else len(text)
    Words(f"{before}{text}{' …' if end < len(memory['text']) else ''}", "p", "text")


def _origin(memory: Json, score: float | None) -> None:
    said = (
        memory["system_id"],
        memory["kind"],
        memory["project"],
        moment(memory["created_at"]) if memory["created_at"] else None,
        memory["agent_id"] and f"agent {memory['agent_id']}",
        memory["session_id"] and f"session {memory['session_id']}",
        memory["tier"],
        *(f"#{tag}" for tag in memory["tags"]),
        None if score is None else f"score {score:.3f}",
    )
    with ui.element("ul").classes("origin"):
        for part in said:
            if part:
                Words(part, "li")


def _witnesses(hit: Json) -> None:
    count = hit["witness_count"]
    with ui.element("details"):
        Words(f"{count} memories say this", "summary")
        with ui.element("ul"):
            for witness in hit["witnesses"][:_WITNESSES_SHOWN]:
                with ui.element("li"):
                    link(f"{witness['system_id']} / {witness['memory_id']}", target(witness))
                    Words(f" {moment(witness['created_at'])}", "span", "quiet")
        if count > _WITNESSES_SHOWN:
            Words(f"and {count - _WITNESSES_SHOWN} more", "p", "quiet")


def explanation(told: Mapping[str, object]) -> None:
    """Every number that went into a score, by name; what had no weight is left out."""
    with ui.element("div").classes("explanation"):
        pairs(
            (_name(name), _value(value))
            for name, value in told.items()
            if not isinstance(value, Mapping)
        )
        for name, value in told.items():
            if isinstance(value, Mapping) and value.get("weight"):
                Words(_name(name), "h4")
                pairs((_name(part), _value(inner)) for part, inner in value.items())


def _name(name: str) -> str:
    return name.replace("_", " ")


def _value(value: object) -> object:
    if isinstance(value, float):
        return f"{value:.4f}"
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {_value(inner)}" for name, inner in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(str(item) for item in value)
    return value
