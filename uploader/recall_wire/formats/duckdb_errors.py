"""What DuckDB says about a bad file, as one sentence a person can act on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb

from recall_wire.errors import RecallError, SourceBusy, SourceInvalid, TransientError

_VERSION_OFFSET = 12
# Storage versions that DuckDB 2.0 reads. Only asked about a file that DuckDB refused.
_KNOWN_VERSIONS = frozenset([*range(64, 70), 999])


@contextmanager
def translated(path: Path) -> Iterator[None]:
    """Raises `SourceInvalid` or `SourceBusy` for what DuckDB raises.

    `OutOfMemoryException` passes: whoever reads can give more memory.
    """
    try:
        yield
    except duckdb.OutOfMemoryException:
        raise
    except duckdb.Error as error:
        raise _translate(path, str(error)) from error
    except UnicodeDecodeError as error:
        raise SourceInvalid(f"{path.name} is damaged: a name in it is not text") from error


def _translate(path: Path, said: str) -> RecallError:
    name, version = path.name, _storage_version(path)
    if "Could not set lock" in said:
        return SourceBusy(
            f"{name} is open in another process", hint="copy it with its .wal, or close the owner"
        )
    if "No space left" in said:
        return TransientError(f"no space left to read {name}", hint="free some disk")
    if "encrypted" in said:
        return SourceInvalid(f"{name} is encrypted", hint="decrypt it into a new file first")
    if "not a valid DuckDB database" in said:
        return SourceInvalid(f"{name} is not a DuckDB database")
    if "storage version" in said.lower() or version not in _KNOWN_VERSIONS:
        return _version_error(name, version)
    return _damage(name, said)


def _damage(name: str, said: str) -> SourceInvalid:
    if "read enough bytes" in said:
        return SourceInvalid(f"{name} is truncated", hint="copy it again, with its .wal")
    if "WAL file" in said:
        return SourceInvalid(
            f"{name}.wal does not belong to {name} or is damaged",
            hint="copy the two together while nobody writes",
        )
    what = "a checksum in it is wrong" if "checksum" in said else _first_line(said)
    return SourceInvalid(f"{name} is damaged: {what}", hint="copy it again")


def _version_error(name: str, version: int) -> SourceInvalid:
    if version < min(_KNOWN_VERSIONS):
        return SourceInvalid(
            f"{name} was written by a DuckDB before 0.10 (storage version {version})",
            hint="export it with that DuckDB and import it with a newer one",
        )
    return SourceInvalid(
        f"{name} was written by a newer DuckDB than {duckdb.__version__} "
        f"(storage version {version})",
        hint="upgrade the duckdb package here",
    )


def _storage_version(path: Path) -> int:
    try:
        with path.open("rb") as file:
            file.seek(_VERSION_OFFSET)
            field = file.read(8)
    except OSError:
        field = b""
    return int.from_bytes(field, "little") if len(field) == 8 else max(_KNOWN_VERSIONS)


def _first_line(said: str) -> str:
    # A stored name may hold anything: what reaches a log or an ack stays short and printable.
    line = said.strip().partition("\n")[0][:200]
    return "".join(char if char.isprintable() else "?" for char in line)
