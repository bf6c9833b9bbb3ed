"""Sources of the new kinds, written as their owners write them, and read as an upload does."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import pytest

from recall_uploader.sources.opening import Opened, open_configured
from recall_uploader.sources.settings import SourceSettings
from recall_wire.formats import ReadOptions
from recall_wire.records import Record

SESSION = "5f0c6b5e-0000-4000-8000-000000000001"


class Read(Protocol):
    def __call__(self, path: Path, **settings: Any) -> list[Record]: ...


@pytest.fixture
def opening(tmp_path: Path) -> Callable[..., Any]:
    """Open a path as the settings' other keys say."""
    scratch = tmp_path / "scratch"
    scratch.mkdir()

    @contextmanager
    def open_one(
        path: Path, *, stamps: Mapping[str, str] | None = None, **settings: Any
    ) -> Iterator[Opened]:
        source = SourceSettings(path=path, **settings)
        options = ReadOptions(scratch_dir=scratch)
        with open_configured(source, options, scratch, stamps=stamps or {}) as opened:
            yield opened

    return open_one


@pytest.fixture
def read(opening: Callable[..., Any]) -> Read:
    """Every record, in both passes, which must be equal."""

    def read_both(path: Path, **settings: Any) -> list[Record]:
        with opening(path, **settings) as opened:
            records = list(opened.records.records())
            assert list(opened.records.records()) == records
            return records

    return read_both


def user(uuid: str, content: object, parent: str | None = None, **more: object) -> dict[str, Any]:
    """A user's line as Claude Code 2 writes it."""
    return {
        "parentUuid": parent,
        "isSidechain": False,
        "userType": "external",
        "cwd": "/home/dev/shop",
        "sessionId": SESSION,
        "version": "2.1.37",
        "gitBranch": "main",
        "type": "user",
        "message": {"role": "user", "content": content},
        "uuid": uuid,
        "timestamp": "2026-02-18T09:00:00.000Z",
        **more,
    }


def assistant(uuid: str, block: object, parent: str | None, **more: object) -> dict[str, Any]:
    """One streamed block of an assistant's message: every line has one block and its own uuid."""
    return {
        **user(uuid, None, parent),
        "type": "assistant",
        "requestId": "req_011",
        "timestamp": "2026-02-18T09:00:05.000Z",
        "message": {
            "model": "claude-opus-4-6",
            "id": "msg_01",
            "type": "message",
            "role": "assistant",
            "content": [block],
            "stop_reason": None,
            "usage": {"input_tokens": 3, "output_tokens": 1},
        },
        **more,
    }


def said(text: str) -> dict[str, str]:
    return {"type": "text", "text": text}


def write_lines(path: Path, *lines: dict[str, Any] | bytes, end: bytes = b"\n") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    encoded = [line if isinstance(line, bytes) else json.dumps(line).encode() for line in lines]
    path.write_bytes(b"\n".join(encoded) + end)
    return path


@pytest.fixture
def projects(tmp_path: Path) -> Path:
    folder = tmp_path / ".claude/projects"
    folder.mkdir(parents=True)
    return folder
