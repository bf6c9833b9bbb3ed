"""A column of any DuckDB type, as the SQL that gives it with every string in it redacted."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from recall_uploader.redact.names import promise
from recall_wire.formats.duckdb_file import literal, quote

TEXT_FUNCTION = "recall_redact_text"
BYTES_FUNCTION = "recall_redact_bytes"
LABEL_FUNCTION = "recall_redact_label"
SECRET_FUNCTION = "recall_redact_is_secret"

_LABELS = re.compile(r"'((?:[^']|'')*)'")
_NO_STRINGS = re.compile(
    r"U?(?:TINYINT|SMALLINT|INTEGER|BIGINT|HUGEINT)|BOOLEAN|FLOAT|DOUBLE|REAL|DECIMAL\(\d+,\s?\d+\)"
    r"|DATE|TIME(?:STAMP)?(?:_S|_MS|_NS)?(?: WITH TIME ZONE)?|INTERVAL|UUID|BIT|BIGNUM|VARINT"
)

# What a name can make a secret: a PIN, a key that is a UUID.
_NUMBERS = re.compile(
    r"U?(?:TINYINT|SMALLINT|INTEGER|BIGINT|HUGEINT)|FLOAT|DOUBLE|REAL|DECIMAL\(\d+,\s?\d+\)|UUID"
    r"|BIGNUM|VARINT"
)


@dataclass(frozen=True)
class Shape:
    """A type taken apart: `kind` and the types within, by their names where they have any."""

    sql: str
    kind: str
    parts: tuple[tuple[str, Shape], ...] = ()

    def is_worth_a_look(self, name: str) -> bool:
        """Whether a value that is called so may hold a secret."""
        if self.kind == "scalar":
            plain = _NO_STRINGS.fullmatch(self.sql) is not None
            return not plain or (self.is_number and promise(name) is not None)
        named = self.kind == "struct"
        return not self.parts or any(
            part.is_worth_a_look(field if named else name) for field, part in self.parts
        )

    @property
    def is_number(self) -> bool:
        return _NUMBERS.fullmatch(self.sql) is not None

    def names(self) -> Iterator[str]:
        """The names of all fields, at any depth."""
        for name, part in self.parts:
            yield name
            yield from part.names()


def shape(sql: str) -> Shape:
    """Read a type as DuckDB's catalog spells it."""
    sql = sql.strip()
    if sql.endswith("]"):
        return Shape(sql, "list", (("", shape(sql[: sql.rindex("[")])),))
    head, _, rest = sql.partition("(")
    inner = rest[:-1]
    if head in ("STRUCT", "UNION"):
        return Shape(sql, head.lower(), tuple(_field(part) for part in _split(inner)))
    if head == "MAP":
        key, value = _split(inner)
        return Shape(sql, "map", (("", shape(key)), ("", shape(value))))
    return Shape(sql, "enum" if head == "ENUM" else "scalar")


def labels(column: Shape) -> Iterator[str]:
    """The values of every ENUM in the type."""
    if column.kind == "enum":
        yield from (label.replace("''", "'") for label in _LABELS.findall(column.sql))
    for _, part in column.parts:
        yield from labels(part)


def redacted_type(column: Shape, clean: dict[str, str]) -> str:
    """The type's SQL with the ENUM values of `clean` replaced. Types of no plain SQL are text."""
    if column.kind == "enum":
        names = (clean[label.replace("''", "'")] for label in _LABELS.findall(column.sql))
        return f"ENUM({', '.join(map(literal, names))})"
    inner = [(name, redacted_type(part, clean)) for name, part in column.parts]
    if column.kind == "list":
        return inner[0][1] + column.sql[column.sql.rindex("[") :]
    if column.kind == "map":
        return f"MAP({inner[0][1]}, {inner[1][1]})"
    if column.kind in ("struct", "union"):
        fields = ", ".join(f"{quote(name)} {sql}" for name, sql in inner)
        return f"{column.kind.upper()}({fields})"
    return column.sql if _is_known(column.sql) else "VARCHAR"


def redacted_value(column: Shape, value: str, name: str, clean: dict[str, str]) -> str:
    """`value` (SQL) with its strings redacted; `name` is what it is called, in SQL.

    A number that is a secret by its name is NULL: its column keeps its type.
    """
    if not column.is_worth_a_look(name):
        return value
    made = _MAKERS[column.kind](column, value, name, clean)
    return f"CASE WHEN {value} IS NULL THEN NULL ELSE {made} END"


def _scalar(column: Shape, value: str, name: str, clean: dict[str, str]) -> str:
    if column.is_number:
        secret = f"{SECRET_FUNCTION}({name}, encode(CAST({value} AS VARCHAR)))"
        return f"CASE WHEN {secret} THEN NULL ELSE {value} END"
    if column.sql == "BLOB":
        return f"{BYTES_FUNCTION}({name}, {value})"
    text = f"{TEXT_FUNCTION}({name}, encode(CAST({value} AS VARCHAR)))"
    return f"CAST({text} AS JSON)" if column.sql == "JSON" else text


def _enum(column: Shape, value: str, name: str, clean: dict[str, str]) -> str:
    label = f"{LABEL_FUNCTION}(encode(CAST({value} AS VARCHAR)))"
    return f"CAST({label} AS {redacted_type(column, clean)})"


def _list(column: Shape, value: str, name: str, clean: dict[str, str]) -> str:
    inner = redacted_value(column.parts[0][1], "item", name, clean)
    made = f"list_transform({value}, lambda item: {inner})"
    return f"CAST({made} AS {redacted_type(column, clean)})"


def _struct(column: Shape, value: str, name: str, clean: dict[str, str]) -> str:
    fields = (
        f"{quote(field)} := "
        + redacted_value(part, f"struct_extract({value}, {literal(field)})", literal(field), clean)
        for field, part in column.parts
    )
    return f"CAST(struct_pack({', '.join(fields)}) AS {redacted_type(column, clean)})"


def _map(column: Shape, value: str, name: str, clean: dict[str, str]) -> str:
    keys, values = (Shape(f"{part.sql}[]", "list", (("", part),)) for _, part in column.parts)
    new_keys = redacted_value(keys, f"map_keys({value})", "''", clean)
    new_values = redacted_value(values, f"map_values({value})", name, clean)
    return f"CAST(map({new_keys}, {new_values}) AS {redacted_type(column, clean)})"


def _union(column: Shape, value: str, name: str, clean: dict[str, str]) -> str:
    whole = redacted_type(column, clean)
    cases = []
    for tag, part in column.parts:
        inner = redacted_value(part, f"union_extract({value}, {literal(tag)})", name, clean)
        made = f"CAST(union_value({quote(tag)} := {inner}) AS {whole})"
        cases.append(f"WHEN {literal(tag)} THEN {made}")
    return f"CASE CAST(union_tag({value}) AS VARCHAR) {' '.join(cases)} END"


_MAKERS = {
    "scalar": _scalar,
    "enum": _enum,
    "list": _list,
    "struct": _struct,
    "map": _map,
    "union": _union,
}


def _is_known(sql: str) -> bool:
    return sql in ("VARCHAR", "JSON", "BLOB") or _NO_STRINGS.fullmatch(sql) is not None


def _field(text: str) -> tuple[str, Shape]:
    """`"a b" VARCHAR` or `a VARCHAR`."""
    if not text.startswith('"'):
        name, _, kind = text.partition(" ")
        return name, shape(kind)
    match = re.match(r'"((?:[^"]|"")*)" ', text)
    if match is None:
        return text, Shape("VARCHAR", "scalar")
    return match[1].replace('""', '"'), shape(text[match.end() :])


def _split(text: str) -> list[str]:
    """At the commas outside of brackets and quotes."""
    parts, depth, start, closing = [], 0, 0, ""
    for place, sign in enumerate(text):
        if closing:
            closing = "" if sign == closing else closing
        elif sign in "\"'":
            closing = sign
        elif sign in "([":
            depth += 1
        elif sign in ")]":
            depth -= 1
        elif sign == "," and not depth:
            parts.append(text[start:place].strip())
            start = place + 1
    return [*parts, text[start:].strip()]
