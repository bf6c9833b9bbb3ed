"""An entry of `sources:`, checked before anything is opened."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from recall_uploader.sources.settings import SourceSettings

MAPPED: dict[str, Any] = {"path": "n.db", "table": "notes", "columns": {"memory_id": "id"}}


def test_home_and_defaults(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/somebody")
    source = SourceSettings(path=Path("~/notes"))
    assert (source.path, source.type) == (Path("/home/somebody/notes"), "auto")
    assert SourceSettings(**MAPPED).maps


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"columns": {"memory_id": "id", "txt": "b"}}, "'txt' is no field .* did you mean text?"),
        ({"columns": {"memory_id": "id", "op": "o"}}, "'op' is no field of a record"),
        ({"columns": {"text": "b"}}, "a mapping needs memory_id"),
        ({"columns": {}}, "a mapping needs memory_id"),
        ({"columns": {"memory_id": ""}}, "at least 1 character"),
        ({"columns": None}, "table and columns belong together"),
        ({"table": None}, "table and columns belong together"),
        ({"type": "markdown"}, "type markdown has no table"),
        ({"table": None, "columns": None, "kind": "note"}, "kind is for the rows of a table"),
        ({"kind": "rumour"}, "Input should be"),
        ({"type": "csv"}, "Input should be"),
        ({"time_zone": "Mars/North"}, "no time zone"),
        ({"time_zone": "../../etc/passwd"}, "no time zone"),
        ({"colums": {}}, "Extra inputs"),
    ],
)
def test_what_is_wrong_is_said_when_settings_load(changes: dict[str, Any], reason: str) -> None:
    with pytest.raises(ValidationError, match=reason):
        SourceSettings(**{**MAPPED, **changes})
