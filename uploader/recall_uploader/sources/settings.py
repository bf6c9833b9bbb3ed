"""One entry of `sources:` in the settings: where memories lie, and how they are read."""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import Annotated, Literal, Self
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from recall_wire.records import Kind

SourceType = Literal[
    "auto",
    "session-buddy",
    "claude-code",
    "duckdb",
    "sqlite",
    "markdown",
    "parquet",
    "jsonl",
]
Name = Annotated[str, Field(min_length=1)]

# What a row may say of itself. Not `op`, `target_system` or `base_version`: a table that somebody
# else designed must not be able to delete memories or to address another system's.
MAPPABLE = (
    *("memory_id", "kind", "text", "created_at", "updated_at", "project", "namespace"),
    *("session_id", "agent_id", "user_id", "tags", "importance", "parent_id", "metadata"),
    "embedding",
)
_TABLES = ("duckdb", "sqlite")


class SourceSettings(BaseModel):
    """Checked when the settings load: nothing is opened for it."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    path: Path
    type: SourceType = "auto"
    table: Name | None = None
    columns: dict[str, Name] | None = None
    kind: Kind | None = None
    time_zone: str | None = None

    @field_validator("path")
    @classmethod
    def _at_home(cls, path: Path) -> Path:
        try:
            return path.expanduser()
        except RuntimeError:
            raise ValueError("the home folder that ~ stands for is not known") from None

    @field_validator("columns")
    @classmethod
    def _known_fields(cls, columns: dict[str, str] | None) -> dict[str, str] | None:
        for field in columns or {}:
            if field not in MAPPABLE:
                raise ValueError(f"{field[:60]!r} is no field of a record{_guess(field)}")
        if columns is not None and "memory_id" not in columns:
            raise ValueError("a mapping needs memory_id: the column that tells the rows apart")
        return columns

    @field_validator("time_zone")
    @classmethod
    def _known_zone(cls, time_zone: str | None) -> str | None:
        try:
            if time_zone is not None:
                ZoneInfo(time_zone)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            raise ValueError("no time zone this machine knows; name one as in Europe/Berlin") from (
                None
            )
        return time_zone

    @model_validator(mode="after")
    def _belong_together(self) -> Self:
        if (self.table is None) != (self.columns is None):
            raise ValueError("table and columns belong together: set both, or neither")
        if self.table is not None and self.type not in ("auto", *_TABLES):
            raise ValueError(
                f"type {self.type} has no table; columns are for {' and '.join(_TABLES)}"
            )
        if self.kind is not None and self.table is None:
            raise ValueError("kind is for the rows of a table: set table and columns, too")
        return self

    @property
    def maps(self) -> bool:
        return self.columns is not None


def _guess(field: str) -> str:
    close = difflib.get_close_matches(field.lower(), MAPPABLE, n=1)
    return f"; did you mean {close[0]}?" if close else f"; there are {', '.join(MAPPABLE)}"
