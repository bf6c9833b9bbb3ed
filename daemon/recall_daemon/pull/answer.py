"""What an instance answered: memories in any of the shapes that instances give them in."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from recall_daemon.pull.errors import AnswerInvalid
from recall_daemon.pull.for_people import left_out, memories_for_people

Json = dict[str, Any]

ROWS_MAX = 10_000
DEPTH_MAX = 8
SAID_MAX_CHARS = 200

_LISTS = ("memories", "results", "result", "reflections", "conversations", "items", "data")
# One of these makes a memory of an object, whatever lists it has; one of `_WEAK` where it has none.
_TEXTS = ("text", "content", "reflection")
_WEAK = ("summary", "response")
_NAMES = ("system_id", "instance", "instance_name")


@dataclass
class Answer:
    """`problems`: a sentence for each thing that is no memory. `left_out`: what is known to lack.

    `name`: what the instance calls itself.
    """

    memories: list[Json] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    left_out: str | None = None
    name: str | None = None


def read_answer(value: object) -> Answer:
    """The memories of a result, whichever shape it has. Raises `AnswerInvalid` for an error."""
    answer = Answer()
    _read(value, answer, 0)
    if len(answer.memories) > ROWS_MAX:
        answer.left_out = f"it gave {len(answer.memories)} memories; {ROWS_MAX} are taken"
        del answer.memories[ROWS_MAX:]
    return answer


def read_json(data: bytes) -> object:
    """Raises `AnswerInvalid`."""
    try:
        return json.loads(data.decode())
    except UnicodeDecodeError:
        raise AnswerInvalid("its answer is not UTF-8 text") from None
    except (ValueError, RecursionError):
        raise AnswerInvalid("its answer is not JSON") from None


def said(text: object) -> str:
    """A little of what an instance said, on one line."""
    return " ".join(str(text)[: 4 * SAID_MAX_CHARS].split())[:SAID_MAX_CHARS]


def _read(value: object, answer: Answer, depth: int) -> None:
    if depth > DEPTH_MAX:
        answer.problems.append("its answer is nested too deep")
    elif isinstance(value, str):
        _read_text(value, answer, depth)
    elif isinstance(value, list):
        _read_list(value, answer, depth)
    elif isinstance(value, dict):
        _read_object(value, answer, depth)
    elif value is not None:
        answer.problems.append(f"{said(value)!r} is no memory")


def _read_list(values: Iterable[object], answer: Answer, depth: int) -> None:
    for one in values:
        if isinstance(one, dict) and not _is_content(one):
            _read_object(one, answer, depth + 1)
        elif isinstance(one, dict):
            _read(one.get("text"), answer, depth + 1)
        else:
            answer.problems.append(f"{said(one)!r} is no memory")


def _read_object(value: Json, answer: Answer, depth: int) -> None:
    is_memory = _says(value, _TEXTS)
    error = value.get("error")
    if value.get("isError") is True or (error and not is_memory):
        raise AnswerInvalid(f"it answers with an error: {said(error or value.get('content'))}")
    inside = _inside(value) if not is_memory else None
    if inside is None and not is_memory and not _says(value, _WEAK) and value.keys() & set(_LISTS):
        return  # {"result": null}
    if inside is None:
        answer.memories.append(value)
        return
    answer.name = answer.name or next(
        (value[name] for name in _NAMES if isinstance(value.get(name), str)), None
    )
    _read(inside, answer, depth + 1)


def _inside(value: Json) -> object:
    """What an object that is no memory holds them in: a list, else text or another object."""
    told = [value[name] for name in (*_LISTS, "content") if value.get(name) is not None]
    lists = [one for one in told if isinstance(one, list)]
    if lists or _says(value, _WEAK):
        return lists[0] if lists else None
    return told[0] if told else None


def _read_text(text: str, answer: Answer, depth: int) -> None:
    plain = text.strip()
    if plain[:1] in ("[", "{"):
        try:
            value = json.loads(plain)
        except (ValueError, RecursionError):
            value = None
        if isinstance(value, dict | list):
            _read(value, answer, depth + 1)
            return
    found = memories_for_people(plain) if plain else []
    if found is None:
        answer.problems.append(f"its answer is not understood: {said(plain)!r}")
        return
    answer.memories += found
    answer.left_out = answer.left_out or left_out(plain, len(found))


def _is_content(value: Json) -> bool:
    """A part of an MCP result, which is no memory though it has a text."""
    return value.get("type") == "text" and not value.keys() - {
        *("type", "text", "annotations", "_meta", "meta")
    }


def _says(value: Json, names: Sequence[str]) -> bool:
    return any(isinstance(value.get(name), str) for name in names)
