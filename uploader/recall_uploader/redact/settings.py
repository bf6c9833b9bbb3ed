"""One extra rule from the settings: what else is a secret here."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, field_validator


class RedactRule(BaseModel):
    """`pattern` is a Python regular expression. Its group `secret`, else the whole match, is what
    is replaced by `[redacted:<name>]`."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{0,39}\z")]
    pattern: str

    @field_validator("pattern")
    @classmethod
    def _usable(cls, pattern: str) -> str:
        if compiled(pattern).search(""):
            raise ValueError("the pattern matches the empty string: let it match at least one sign")
        return pattern


def compiled(pattern: str) -> re.Pattern[str]:
    """Raises `ValueError`, one sentence that repeats nothing of the pattern."""
    try:
        return re.compile(pattern)
    except (re.error, OverflowError, RecursionError) as error:
        place = getattr(error, "pos", None)
        where = "" if place is None else f" (it fails at character {place + 1})"
        raise ValueError(f"the pattern is no Python regular expression{where}") from None
