"""Statements of a post, parsed once: DuckDB takes as long to parse one as to run it."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import duckdb

Connection = duckdb.DuckDBPyConnection


def run(connection: Connection, sql: str, values: Sequence[object] = ()) -> Connection:
    """As `connection.execute`, of one statement whose text is one of a few hundred."""
    return connection.execute(_parsed(sql), list(values))


@lru_cache(maxsize=512)
def _parsed(sql: str) -> duckdb.Statement:
    with duckdb.connect() as parser:
        return parser.extract_statements(sql)[0]


def places(rows: int, columns: int) -> str:
    """The `(?, …), …` of so many rows."""
    row = f"({', '.join('?' * columns)})"
    return ", ".join([row] * rows)
