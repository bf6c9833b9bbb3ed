"""What Session-Buddy writes for people becomes memories again."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # peers

from peers import BEST, NOTHING, NUMBERED, TOP_ONE

from recall_daemon.pull.for_people import left_out, memories_for_people


def test_one_result_under_signs() -> None:
    assert memories_for_people(TOP_ONE) == [
        {
            "text": "Use WAL mode\nfor the queue",
            "project": "queue",
            "created_at": "2026-01-01T10:00:00",
        }
    ]
    assert left_out(TOP_ONE, 1) == "it gives its best result alone"


def test_the_best_of_several() -> None:
    assert memories_for_people(BEST) == [{"text": "Use WAL mode\n\nfor the queue"}]
    assert left_out(BEST, 1) == "it found 3 and gave 1"


def test_a_numbered_list() -> None:
    assert memories_for_people(NUMBERED) == [
        {"text": "first one", "created_at": "2026-01-01T10:00:00"},
        {"text": "second\none"},
    ]


@pytest.mark.parametrize(
    ("text", "memory"),
    [
        (f"📝 {'a' * 147}...", {"text": "a" * 147, "truncated": True}),
        ("📝 wait for it...", {"text": "wait for it..."}),
        (f"📝 {'a' * 140}...", {"text": "a" * 140 + "..."}),
        (f"**1.** {'b' * 150}...\n\n", {"text": "b" * 150, "truncated": True}),
        (f"**Top Result** (score: N/A):\n{'c' * 200}...", {"text": "c" * 200, "truncated": True}),
        ("📝 text\n📅 Date: Unknown", {"text": "text"}),
    ],
)
def test_a_text_that_was_cut_says_so(text: str, memory: dict[str, object]) -> None:
    assert memories_for_people(text) == [memory]


@pytest.mark.parametrize(
    "text", [NOTHING, "🔍 Quick search for: 'x'\n🔍 No results found\n💡 Try other terms"]
)
def test_nothing_found_is_no_memory(text: str) -> None:
    assert memories_for_people(text) == []


@pytest.mark.parametrize(
    "text",
    ["Reflection tools not available. Install dependencies", "❌ Failed to connect", "hello", "📝"],
)
def test_what_is_not_understood_is_told(text: str) -> None:
    assert memories_for_people(text) is None
