"""Public long conversations with questions, as memories: the LoCoMo files' shape.

A file is one system. A turn is one memory: its id is the dialogue id, its text "Speaker: words
[caption]", its time that of the session; turns keep their order. A question names the turns that
answer it as evidence: strings that hold one id, several, or a damaged one. An id is read as
D<session>:<turn> whatever stands around it; one that is no turn of the file is not counted, and a
question left without evidence is not asked.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from recall_wire.records import Record

_SESSION = re.compile(r"session_(\d+)")
_EVIDENCE = re.compile(r"D:?(\d+):(\d+)")


@dataclass(frozen=True)
class Question:
    """What is asked, of which conversation, and the ids of the turns that answer it."""

    system_id: str
    text: str
    evidence: frozenset[str]


@dataclass(frozen=True)
class Conversation:
    """One file. `unknown_evidence` counts ids that no turn has, `unasked` questions without any."""

    system_id: str
    turns: tuple[Record, ...]
    questions: tuple[Question, ...]
    unknown_evidence: int
    unasked: int


def conversations(folder: Path) -> list[Conversation]:
    """Every `*.json` of the folder, by name. Raises `ValueError` where there is none."""
    found = [_conversation(path) for path in sorted(folder.glob("*.json"))]
    if not found:
        raise ValueError(f"{folder} holds no conversation (*.json)")
    return found


def _conversation(path: Path) -> Conversation:
    content = json.loads(path.read_text(encoding="utf-8"))
    content |= content.get("conversation", {})
    turns = tuple(_turns(content))
    known = {turn.memory_id for turn in turns}
    asked = [(item["question"], _ids(item.get("evidence"))) for item in content.get("qa", ())]
    questions = tuple(
        Question(path.stem, str(text), frozenset(ids & known)) for text, ids in asked if ids & known
    )
    unknown = sum(len(ids - known) for _, ids in asked)
    return Conversation(path.stem, turns, questions, unknown, len(asked) - len(questions))


def _turns(content: dict[str, Any]) -> Iterator[Record]:
    numbers = [int(match[1]) for name in content if (match := _SESSION.fullmatch(name))]
    for number in sorted(numbers):
        moment = _time(content[f"session_{number}_date_time"])
        for turn in content[f"session_{number}"]:
            caption = turn.get("blip_caption")
            words = f"{turn['speaker']}: {turn['text']}"
            yield Record(
                memory_id=turn["dia_id"],
                kind="conversation",
                text=f"{words} [{caption}]" if caption else words,
                created_at=moment,
                updated_at=moment,
                session_id=f"session_{number}",
            )


def _time(text: str) -> datetime:
    """ "1:56 pm on 8 May, 2023", taken as UTC."""
    return datetime.strptime(text.strip(), "%I:%M %p on %d %B, %Y").replace(tzinfo=UTC)


def _ids(evidence: object) -> set[str]:
    values = evidence if isinstance(evidence, list) else [evidence]
    pairs = [pair for value in values for pair in _EVIDENCE.findall(str(value))]
    return {f"D{int(session)}:{int(turn)}" for session, turn in pairs}
