"""One line of a Claude Code transcript: who it is, whom it follows, and what was said in it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from recall_uploader.sources.written import text_of_assistant, text_of_user

# Entries without a turn: titles, modes, undo, hooks, progress, and what compaction leaves.
KNOWN_TYPES = frozenset(
    [
        *("user", "assistant", "system", "summary", "attachment", "progress", "queue-operation"),
        *("file-history-snapshot", "file-history-delta", "last-prompt", "custom-title", "ai-title"),
        *("agent-name", "agent-color", "agent-setting", "mode", "permission-mode", "tag"),
        *("task-summary", "pr-link", "worktree-state", "content-replacement", "checkpoint"),
        *("attribution-snapshot", "speculation-accept", "result", "started"),
        *("marble-origami-commit", "marble-origami-snapshot"),
    ]
)
_SYNTHETIC = "<synthetic>"


@dataclass(frozen=True, slots=True)
class Entry:
    """`text` empty: no turn that anybody wrote, but it may stand between two that are."""

    type: str
    uuid: str
    parent: str
    text: str
    fields: dict[str, Any]


def parse_entry(line: bytes) -> Entry | None:
    """The entry on a line; None for what is none. Bytes that are no UTF-8 become surrogates."""
    try:
        value = json.loads(line.decode(errors="surrogateescape"))
    except (ValueError, RecursionError):
        return None
    if not isinstance(value, dict):
        return None
    return Entry(
        type=_text(value, "type"),
        uuid=_text(value, "uuid"),
        # Compaction cuts the chain and keeps the true predecessor here.
        parent=_text(value, "parentUuid") or _text(value, "logicalParentUuid"),
        text=_said(value),
        fields=value,
    )


def is_transcript(line: bytes) -> bool:
    """Whether a line can only come from a transcript."""
    entry = parse_entry(line)
    if entry is None or not entry.type or "memory_id" in entry.fields:
        return False
    return (
        "sessionId" in entry.fields or "leafUuid" in entry.fields or "isSidechain" in (entry.fields)
    )


def session_of(fields: dict[str, Any]) -> str:
    """The session an entry was first said in: a branch's copies name the one they come from."""
    origin = fields.get("forkedFrom")
    first = _text(origin, "sessionId") if isinstance(origin, dict) else ""
    return first or _text(fields, "sessionId")


def metadata_of(entry: Entry) -> dict[str, object]:
    message = entry.fields.get("message")
    message = message if isinstance(message, dict) else {}
    found: dict[str, object] = {
        "role": entry.type,
        "model": _text(message, "model"),
        "message_id": _text(message, "id"),
        "git_branch": _text(entry.fields, "gitBranch"),
        "version": _text(entry.fields, "version"),
        "sidechain": entry.fields.get("isSidechain") is True,
    }
    return {name: value for name, value in found.items() if value}


def _said(value: dict[str, Any]) -> str:
    message = value.get("message")
    if not isinstance(message, dict) or value.get("isMeta") is True:
        return ""
    if value.get("type") == "user":
        # A compaction's summary repeats, in a model's words, what the turns before it say.
        if value.get("isCompactSummary") is True or value.get("isVisibleInTranscriptOnly") is True:
            return ""
        return _joined(text_of_user(text) for text in _texts(message.get("content")))
    if value.get("type") == "assistant":
        if value.get("isApiErrorMessage") is True or message.get("model") == _SYNTHETIC:
            return ""
        return _joined(text_of_assistant(text) for text in _texts(message.get("content")))
    return ""


def _texts(content: object) -> Iterator[str]:
    """Text blocks only: no thinking, no tool's input or result, no image."""
    if isinstance(content, str):
        yield content
    elif isinstance(content, list):
        for block in content:
            if isinstance(block, dict) and block.get("type") == "text":
                yield _text(block, "text")


def _joined(texts: Iterator[str]) -> str:
    return "\n\n".join(text for text in texts if text)


def _text(value: dict[str, Any], name: str) -> str:
    found = value.get(name)
    return found if isinstance(found, str) else ""
