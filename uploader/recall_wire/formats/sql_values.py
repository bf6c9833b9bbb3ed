"""A column of any DuckDB type, as the SQL that fetches it and the Python that finishes it."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from recall_wire.formats import values
from recall_wire.formats.duckdb_file import Column, quote

_INTEGERS = re.compile(r"U?(TINYINT|SMALLINT|INTEGER|BIGINT|HUGEINT)")
_NESTED = re.compile(r"(STRUCT|MAP|UNION)\b|.*\[\d*\]$", re.DOTALL)
_NUMBER_LIST = re.compile(r"(FLOAT|DOUBLE|REAL|DECIMAL\(.*\))\[\d*\]")


@dataclass(frozen=True)
class Fetch:
    """`sql` gives a plain value; `finish` makes it what the row mapping takes."""

    name: str
    sql: str
    finish: Callable[[Any], object] = lambda value: value


def fetch_text(column: Column) -> Fetch:
    """Any type as the bytes of its text: DuckDB checks UTF-8 when it writes, a forged file not."""
    name = quote(column.name)
    if column.type == "BLOB":
        return Fetch(column.name, name)
    return Fetch(column.name, f"encode(CAST({name} AS VARCHAR))")


def fetch_vector(column: Column) -> Fetch:
    if not _NUMBER_LIST.fullmatch(column.type):
        return fetch_text(column)
    return Fetch(column.name, f"CAST({quote(column.name)} AS DOUBLE[])")


def fetch_value(column: Column) -> Fetch:
    """Numbers, booleans and times as such, nested values by way of JSON, the rest as text.

    A FLOAT goes by way of its shortest text, so that 0.8 stays 0.8.
    """
    name, kind = quote(column.name), column.type
    if kind.startswith("TIMESTAMP") or kind == "DATE":
        return _time(column)
    if _NESTED.match(kind):
        return Fetch(column.name, f"encode(CAST(to_json({name}) AS VARCHAR))", _from_json)
    if kind in ("FLOAT", "DOUBLE") or kind.startswith("DECIMAL"):
        return Fetch(column.name, f"CAST({name} AS VARCHAR)", values.to_number)
    if kind == "BOOLEAN" or _INTEGERS.fullmatch(kind):
        return Fetch(column.name, name)
    if kind == "BLOB":
        return Fetch(column.name, name, lambda value: value and values.base64_text(value))
    return fetch_text(column)


def _time(column: Column) -> Fetch:
    # epoch_us is NULL for infinities. Python's own timestamps would overflow past the year 9999.
    name = quote(column.name)
    if "WITH TIME ZONE" in column.type:
        return Fetch(column.name, f"epoch_us({name})", _aware)
    return Fetch(column.name, f"epoch_us(TRY_CAST({name} AS TIMESTAMP))", values.naive_from_micros)


def _aware(micros: int | None) -> datetime | None:
    naive = values.naive_from_micros(micros)
    return values.as_utc(naive) if naive else None


def _from_json(text: bytes | None) -> object:
    return None if text is None else values.load_json(text.decode(errors="replace"))
