"""Which of a database's tables and columns a mapping means, and what to write where none is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from recall_uploader.sources.frozen import printable
from recall_wire.errors import SourceInvalid

_LISTED_MAX = 20
_MAIN = "main"
_IDS = ("memory_id", "id", "uuid", "key", "rowid", "name")
_TEXTS = ("text", "content", "body", "message", "note", "summary", "value", "title")


@dataclass(frozen=True)
class TableName:
    """`kind` is `table`, or what else bears a name: a view, a virtual table."""

    schema: str
    name: str
    kind: str = "table"

    @property
    def is_table(self) -> bool:
        return self.kind == "table"


def pick_table(wanted: str, tables: Sequence[TableName], path: Path) -> TableName:
    """The table called `wanted`, or `schema.table`; names are compared without case.

    The schema `main` goes before others. Raises `SourceInvalid` for none, for several, and for
    what is no base table: a view is a program of whoever wrote the file.
    """
    found = [table for table in tables if _is_called(table, wanted)]
    base = [table for table in found if table.is_table]
    base = [table for table in base if table.schema == _MAIN] or base
    if len(base) > 1:
        names = _listed([f"{table.schema}.{table.name}" for table in base])
        raise SourceInvalid(f"{path.name} has several tables called {printable(wanted)}: {names}")
    if base:
        return base[0]
    if found:
        raise SourceInvalid(
            f"{printable(wanted)} in {path.name} is a {found[0].kind}, no table",
            hint="name the table that it reads from",
        )
    names = _listed([table.name for table in tables if table.is_table])
    raise SourceInvalid(f"{path.name} has no table {printable(wanted)}", hint=f"it has {names}")


def match_columns(
    columns: Mapping[str, str], stored: Sequence[str], table: str, path: Path
) -> dict[str, str]:
    """The stored name of each field's column. Raises `SourceInvalid` for one that is not there."""
    by_name = {name.lower(): name for name in stored}
    for field, column in columns.items():
        if column.lower() not in by_name:
            raise SourceInvalid(
                f"table {printable(table)} of {path.name} has no column {printable(column)} "
                f"(mapped to {field})",
                hint=f"it has {_listed(stored)}",
            )
    return {field: by_name[column.lower()] for field, column in columns.items()}


def mapping_needed(path: Path, what: str, tables: Mapping[str, Sequence[str]]) -> SourceInvalid:
    """What to say of a database whose tables nobody has mapped: with an example from it."""
    message = f"{path.name} is {what} without Session-Buddy's tables"
    usable = {table: columns for table, columns in tables.items() if columns}
    if not usable:
        return SourceInvalid(f"{message}, and holds no table")
    table, columns = max(usable.items(), key=lambda item: _looks_right(item[1]))
    identity = _first_of(_IDS, columns) or columns[0]
    text = _first_of(_TEXTS, [name for name in columns if name != identity])
    mapped = f"memory_id: {printable(identity)}" + (f", text: {printable(text)}" if text else "")
    return SourceInvalid(
        f"{message}: it needs a mapping",
        hint=f"in the settings, as: sources: [{{path: {printable(str(path))}, "
        f"table: {printable(table)}, columns: {{{mapped}}}}}]; it has the tables "
        f"{_listed(list(usable))}, and {printable(table)} the columns {_listed(columns)}",
    )


def _is_called(table: TableName, wanted: str) -> bool:
    name = wanted.lower()
    return name in (table.name.lower(), f"{table.schema}.{table.name}".lower())


def _looks_right(columns: Sequence[str]) -> int:
    return bool(_first_of(_IDS, columns)) + 2 * bool(_first_of(_TEXTS, columns))


def _first_of(names: Sequence[str], columns: Sequence[str]) -> str:
    by_name = {column.lower(): column for column in columns}
    return next((by_name[name] for name in names if name in by_name), "")


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(printable(name)[:60] for name in names[:_LISTED_MAX]) or "none"
    more = len(names) - _LISTED_MAX
    return f"{shown} and {more} more" if more > 0 else shown
