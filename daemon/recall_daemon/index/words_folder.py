"""A tantivy index in a folder: opened only when every byte of it is what was written.

`words.json` beside tantivy's files says up to which change of the store they go. It is written
after tantivy's commit, so it may be behind, never ahead: changes that come again change nothing.
"""

from __future__ import annotations

import json
import struct
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from recall_daemon.index.durable import (
    Damaged,
    check_files,
    read_json,
    sync,
    whole_number,
    write_json,
)

# Raised whenever the analysis, the schema or what is indexed of a row changes.
FORMAT = 3
STATE = "words.json"
_META = "meta.json"
_FOOTER_MAGIC = 1337
_SUFFIXES = ("idx", "pos", "term", "store", "fast", "fieldnorm")


@dataclass(frozen=True, slots=True)
class WordsState:
    """Up to which change_no of which store the words go."""

    store_id: str
    watermark: int

    def write(self, folder: Path) -> None:
        # tantivy renames its list of segments last, and does not wait for that to reach the disk.
        sync(folder)
        write_json(folder / STATE, {"format": FORMAT, **asdict(self)})


def checked_state(folder: Path, store_id: str, last_change: int) -> WordsState | None:
    """What the folder's words go up to, after checking every file; None where there are none.

    Raises `Damaged` where they cannot be used: they have to be made anew.
    """
    value = read_json(folder / STATE)
    if value is None:
        return None
    if value.pop("format", None) != FORMAT:
        raise Damaged("the words have a format that this recalld does not know")
    try:
        state = WordsState(str(value["store_id"]), whole_number(value["watermark"]))
    except (KeyError, ValueError) as error:
        raise Damaged(f"{STATE} lacks what it should name") from error
    if state.store_id != store_id:
        raise Damaged("the words are of another store")
    if state.watermark > last_change:
        raise Damaged("the words are ahead of the store")
    check_files(folder, _with_footers(folder))
    return state


def _with_footers(folder: Path) -> dict[str, tuple[int, int]]:
    """Every file that tantivy's own list of segments names: its body's length and crc32."""
    try:
        meta = json.loads((folder / _META).read_bytes())
        names = [name for segment in meta["segments"] for name in _files_of(segment)]
        return {name: _footer(folder / name) for name in names}
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise Damaged("tantivy's list of segments cannot be read") from error


def _files_of(segment: dict[str, Any]) -> list[str]:
    number = str(segment["segment_id"]).replace("-", "")
    names = [f"{number}.{suffix}" for suffix in _SUFFIXES]
    if segment.get("deletes"):
        names.append(f"{number}.{segment['deletes']['opstamp']}.del")
    return names


def _footer(path: Path) -> tuple[int, int]:
    """The end of a file: JSON with the body's crc32, the length of that, and a magic number."""
    with path.open("rb") as file:
        size = path.stat().st_size
        file.seek(max(size - 8, 0))
        end = file.read(8)
        length, magic = struct.unpack("<II", end) if len(end) == 8 else (0, 0)
        if magic != _FOOTER_MAGIC or length > size - 8:
            raise Damaged(f"{path.name} has no footer")
        file.seek(size - 8 - length)
        return size - 8 - length, int(json.loads(file.read(length))["crc"])
