"""Documentation as memories: the other kind of text that rankings are judged by.

Every docstring of an installed package that has a summary line and prose below it is a session, and
each paragraph of that prose a memory. The summary is no memory but the question: its author says in
other words what the first paragraph is about, which is the evidence.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from conversations import Conversation, Question
from documents import sentences
from recall_wire.records import Record
from texts import docstrings, is_prose, source_files

SYSTEM = "documentation"
_START = datetime(2026, 1, 1, tzinfo=UTC)


def documentation(paragraphs: int, questions: int, seed: int) -> list[Conversation]:
    """One system with at least so many paragraphs, and some of its summaries; seeded."""
    turns: list[Record] = []
    asked: list[Question] = []
    for summary, body in _documented(seed):
        session = f"document-{len(asked)}"
        moment = _START + timedelta(minutes=len(asked))
        ids = [f"{session}:{number}" for number in range(len(body))]
        turns += [_memory(*pair, session, moment) for pair in zip(ids, body, strict=True)]
        asked.append(Question(SYSTEM, summary, frozenset(ids[:1])))
        if len(turns) >= paragraphs:
            break
    chosen = random.Random(seed).sample(asked, min(questions, len(asked)))
    return [Conversation(SYSTEM, tuple(turns), tuple(chosen), 0, 0)]


def _documented(seed: int) -> Iterator[tuple[str, list[str]]]:
    """Summary lines and the paragraphs below them; no text comes twice."""
    files = source_files()
    random.Random(seed).shuffle(files)
    seen: set[str] = set()
    for path in files:
        for docstring in docstrings(path):
            first, *blocks = docstring.split("\n\n")
            summary = sentences(" ".join(first.split()))[0]
            prose = [(block, " ".join(block.split())) for block in blocks]
            body = [text for block, text in prose if is_prose(block, text) and text not in seen]
            if body and summary not in seen and is_prose(summary, summary):
                seen |= {summary, *body}
                yield summary, body


def _memory(memory_id: str, text: str, session: str, moment: datetime) -> Record:
    return Record(
        memory_id=memory_id,
        kind="note",
        text=text,
        created_at=moment,
        updated_at=moment,
        session_id=session,
    )
