"""`recalld get`, `recent`, `related` and `add`: single memories."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Annotated, Literal

from cyclopts import Parameter
from rich.console import Console

from recall_daemon.commands.program import (
    AsJson,
    Config,
    Text,
    app,
    given_text,
    open_hub_api,
    print_answer,
)
from recall_daemon.errors import MemoryInvalid
from recall_daemon.operations import Json


@app.command
def get(name: str, /, *, json_: AsJson = False, config: Config = None) -> None:
    """Show all there is of one memory, SYSTEM/MEMORY_ID."""
    with open_hub_api(config) as hub:
        answer = hub.memory(*_parted(name))
    print_answer(answer, json_, lambda console: _print_memory(console, answer))


@app.command
def recent(
    *,
    system: tuple[str, ...] = (),
    project: tuple[str, ...] = (),
    kind: tuple[str, ...] = (),
    session: tuple[str, ...] = (),
    tag: tuple[str, ...] = (),
    since: datetime | None = None,
    until: datetime | None = None,
    limit: int = 10,
    cursor: str | None = None,
    json_: AsJson = False,
    config: Config = None,
) -> None:
    """List memories, newest first. A filter given twice means either.

    Parameters
    ----------
    cursor
        Where the page starts, as the answer before named it.
    """
    from recall_daemon.search.query import SearchRequest

    asked = SearchRequest(
        query="*",
        system=system,
        project=project,
        kind=kind,
        session=session,
        tags=tag,
        since=since,
        until=until,
    )
    with open_hub_api(config) as hub:
        answer = hub.recent(asked.filters, limit, cursor)
    print_answer(answer, json_, lambda console: _print_list(console, answer))


@app.command
def related(
    name: str,
    /,
    *,
    system: tuple[str, ...] = (),
    project: tuple[str, ...] = (),
    limit: int = 10,
    json_: AsJson = False,
    config: Config = None,
) -> None:
    """Show the turns around a memory, SYSTEM/MEMORY_ID, and what is nearest to it by meaning."""
    from recall_daemon.search.query import SearchRequest

    filters = SearchRequest(query="*", system=system, project=project).filters
    with open_hub_api(config) as hub:
        answer = hub.related(*_parted(name), filters, limit)
    print_answer(answer, json_, lambda console: _print_related(console, answer))


@app.command
def add(
    text: Text,
    /,
    *,
    system: str,
    memory_id: Annotated[str | None, Parameter(name="--id")] = None,
    kind: Literal["conversation", "reflection", "insight", "note"] = "note",
    project: str | None = None,
    session: str | None = None,
    tag: tuple[str, ...] = (),
    importance: float | None = None,
    json_: AsJson = False,
    config: Config = None,
) -> None:
    """Store one memory; `-` reads its text from standard input.

    Parameters
    ----------
    memory_id
        One that is there already is replaced. By default a hash of what is stored.
    """
    body: Json = {
        "system": system,
        "text": given_text(text),
        "memory_id": memory_id,
        "kind": kind,
        "project": project,
        "session_id": session,
        "tags": list(tag),
        "importance": importance,
    }
    with open_hub_api(config) as hub:
        answer = hub.add(body)
    name = f"{answer['system_id']}/{answer['memory_id']}"
    print_answer(answer, json_, lambda console: console.print(f"stored {name}", markup=False))


def _parted(name: str) -> tuple[str, str]:
    """A system's id holds no slash, a memory's may."""
    system_id, slash, memory_id = name.partition("/")
    if not (system_id and slash and memory_id):
        raise MemoryInvalid(f"{name[:80]!r} names no memory", hint="write SYSTEM/MEMORY_ID")
    return system_id, memory_id


_TEXT_CHARS = 160


def _print_memory(console: Console, memory: Json) -> None:
    shown = {name: value for name, value in memory.items() if value not in (None, [], {})}
    text = shown.pop("text", shown.pop("text_missing", ""))
    for name, value in shown.items():
        console.print(f"{name}: {value}", markup=False, soft_wrap=True)
    console.print()
    console.print(text, markup=False)


def _print_list(console: Console, answer: Json) -> None:
    _print_lines(console, answer["memories"])
    if answer["next_cursor"]:
        console.print(f"more: --cursor {answer['next_cursor']}", markup=False, soft_wrap=True)


def _print_related(console: Console, answer: Json) -> None:
    for side in ("before", "after", "nearest"):
        console.print(f"[bold]{side}[/]")
        _print_lines(console, answer[side])
    if not answer["embedded"]:
        console.print("it is not embedded yet: nothing is compared by meaning")


def _print_lines(console: Console, memories: Iterable[Json]) -> None:
    for one in memories:
        score = f"{one['score']:.3f}  " if "score" in one else ""
        name = f"{one['system_id']}/{one['memory_id']}"
        said = one["text"] or one["summary"] or one["text_missing"] or ""
        line = f"{score}{one['created_at'] or '-'}  {name}  {' '.join(said.split())[:_TEXT_CHARS]}"
        console.print(line, markup=False, soft_wrap=True)
