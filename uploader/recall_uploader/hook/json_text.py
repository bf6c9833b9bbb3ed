"""JSON as text: where each value lies, and edits that leave every other byte as it is."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import NoReturn

_SPACE = " \t\n\r"


class JsonRefused(ValueError):
    """Not JSON, or JSON that cannot be edited without losing something."""


@dataclass(frozen=True, slots=True)
class Node:
    """A value and its place, end exclusive. Numbers are kept as their text: they may be larger
    than any type. `children` are an object's members' values, or an array's items."""

    start: int
    end: int
    value: object
    keys: tuple[str, ...] = ()
    children: tuple[Node, ...] = ()
    starts: tuple[int, ...] = ()  # of each child with its key

    def member(self, key: str) -> Node | None:
        return self.children[self.keys.index(key)] if key in self.keys else None


@dataclass(frozen=True, slots=True)
class Style:
    """How a text is laid out, so that what is added looks the same."""

    newline: str
    unit: str
    lines: bool

    @classmethod
    def of(cls, text: str, root: Node) -> Style:
        newline = "\r\n" if "\r\n" in text else "\n"
        lead = _lead(text, root) if root.children else newline
        unit = lead.rpartition("\n")[2]
        return cls(newline, unit or "  ", "\n" in lead)

    def render(self, value: object, indent: str, *, lines: bool) -> str:
        if not lines:
            return json.dumps(value, ensure_ascii=False)
        text = json.dumps(value, ensure_ascii=False, indent=self.unit)
        return text.replace("\n", self.newline + indent)


def parse(text: str) -> Node:
    """Raises `JsonRefused`: what a strict reader refuses, and keys that stand twice."""
    try:
        node = _Parser(text).value(_skip(text, 0))
    except RecursionError:
        raise JsonRefused("it is nested too deeply") from None
    if (end := _skip(text, node.end)) != len(text):
        _refuse(text, end, "there is more after the end")
    return node


def replaced(text: str, node: Node, value: object) -> str:
    return text[: node.start] + json.dumps(value, ensure_ascii=False) + text[node.end :]


def appended(text: str, root: Node, container: Node, value: object, key: str = "") -> str:
    """With one more member (`key`) or item at the end of the container."""
    style = Style.of(text, root)
    if container.children:
        lead = _lead(text, container)
        lines = "\n" in lead
        indent = lead.rpartition("\n")[2]
        before = "," + (style.newline + indent if lines else " ")
        at, after, upto = container.children[-1].end, "", container.children[-1].end
    else:
        lines = style.lines
        outer = _line_indent(text, container.start)
        indent = outer + style.unit
        before = style.newline + indent if lines else ""
        after = style.newline + outer if lines else ""
        at, upto = container.start + 1, container.end - 1
    name = json.dumps(key, ensure_ascii=False) + ": " if key else ""
    added = name + style.render(value, indent, lines=lines)
    return text[:at] + before + added + after + text[upto:]


def without(text: str, container: Node, place: int) -> str:
    """Without the container's child at this place, its comma and the space around it."""
    if len(container.children) == 1:
        start, end = container.start + 1, container.end - 1
    elif place:
        start, end = container.children[place - 1].end, container.children[place].end
    else:
        start, end = container.starts[0], container.starts[1]
    return text[:start] + text[end:]


class _Parser:
    def __init__(self, text: str) -> None:
        self.text = text
        self.scalars = json.JSONDecoder(
            parse_int=str, parse_float=str, parse_constant=_refuse_constant
        )

    def value(self, at: int) -> Node:
        opening = self.text[at : at + 1]
        if opening == "{":
            return self._container(at, "}")
        if opening == "[":
            return self._container(at, "]")
        try:
            value, end = self.scalars.raw_decode(self.text, at)
        except json.JSONDecodeError as error:
            _refuse(self.text, error.pos, error.msg)
        return Node(at, end, value)

    def _container(self, at: int, closing: str) -> Node:
        keys: list[str] = []
        children: list[Node] = []
        starts: list[int] = []
        end = _skip(self.text, at + 1)
        while self.text[end : end + 1] != closing:
            if children:
                end = self._expect(",", end)
            starts.append(end)
            if closing == "}":
                end = self._key(end, keys)
            children.append(self.value(end))
            end = _skip(self.text, children[-1].end)
        values = [child.value for child in children]
        value: object = dict(zip(keys, values, strict=True)) if closing == "}" else values
        return Node(at, end + 1, value, tuple(keys), tuple(children), tuple(starts))

    def _key(self, at: int, keys: list[str]) -> int:
        """Returns where its value begins."""
        if self.text[at : at + 1] != '"':
            _refuse(self.text, at, "a key in double quotes is expected")
        node = self.value(at)
        if node.value in keys:
            _refuse(self.text, at, f"the key {self.text[at : node.end][:60]} stands twice")
        keys.append(str(node.value))
        return self._expect(":", _skip(self.text, node.end))

    def _expect(self, mark: str, at: int) -> int:
        if self.text[at : at + 1] != mark:
            _refuse(self.text, at, f"a {'comma' if mark == ',' else 'colon'} is expected")
        return _skip(self.text, at + 1)


def _skip(text: str, at: int) -> int:
    while at < len(text) and text[at] in _SPACE:
        at += 1
    return at


def _lead(text: str, container: Node) -> str:
    """The space between a container's bracket and its first child."""
    return text[container.start + 1 : container.starts[0]]


def _line_indent(text: str, at: int) -> str:
    line = text[text.rfind("\n", 0, at) + 1 : at]
    return line[: len(line) - len(line.lstrip(" \t"))]


def _refuse_constant(name: str) -> NoReturn:
    raise JsonRefused(f"{name} is no JSON")


def _refuse(text: str, at: int, reason: str) -> NoReturn:
    line = text.count("\n", 0, at) + 1
    raise JsonRefused(f"line {line}: {reason[:1].lower()}{reason[1:]}")
