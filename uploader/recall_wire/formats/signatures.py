"""The bytes that files are known by. Apart from what reads them: telling takes no DuckDB."""

from __future__ import annotations

SIGNATURE_BYTES = 12
_DUCKDB = b"DUCK"
_DUCKDB_OFFSET = 8
_PARQUET = b"PAR1"


def is_duckdb(start: bytes) -> bool:
    """Whether a file's first bytes, `SIGNATURE_BYTES` or more, are a DuckDB database's."""
    return start.startswith(_DUCKDB, _DUCKDB_OFFSET)


def is_parquet(start: bytes) -> bool:
    """Whether a file's first bytes are those of Parquet."""
    return start.startswith(_PARQUET)
