"""The YAML between two lines of dashes at the start of a note."""

from __future__ import annotations

import re
from typing import Any

import yaml

from recall_wire.formats import values

_MAX_BYTES = 64 << 10
_BLOCK = re.compile(
    rb"\A---[ \t]*\r?\n(.*?)^(?:---|\.\.\.)[ \t]*(?:\r?\n|\Z)", re.DOTALL | re.MULTILINE
)


class FrontMatterBroken(ValueError):
    """There is a block, and it is no YAML that could be kept."""


def split(data: bytes) -> tuple[dict[str, Any], bytes]:
    """The front matter, empty where there is none, and the text after it.

    Raises `FrontMatterBroken` for a block that is no YAML. A block that is no mapping is text
    between two rules.
    """
    block = _BLOCK.match(data[:_MAX_BYTES])
    if block is None:
        return {}, data
    loaded = _load(block[1])
    if loaded is not None and not isinstance(loaded, dict):
        return {}, data
    return {str(key): value for key, value in (loaded or {}).items()}, data[block.end() :]


def _load(block: bytes) -> object:
    try:
        loaded: object = yaml.load(block.decode(), Loader=_PlainLoader)
        # What cannot be written down again (a number of a million digits) is not kept either.
        values.dump_json(loaded)
    except (yaml.YAMLError, ValueError, TypeError, RecursionError, OverflowError) as error:
        raise FrontMatterBroken from error
    return loaded


class _PlainLoader(yaml.SafeLoader):
    """Without aliases: ten lines of them unfold to gigabytes."""

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            raise yaml.YAMLError("an alias")
        return super().compose_node(parent, index)


def _construct_set(loader: _PlainLoader, node: yaml.MappingNode) -> list[Any]:
    # As a list: a set's own order is another one in every process.
    return list(loader.construct_mapping(node))


_PlainLoader.add_constructor("tag:yaml.org,2002:set", _construct_set)
