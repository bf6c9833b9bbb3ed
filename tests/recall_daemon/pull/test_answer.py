"""Every shape in which instances give memories, and those that hold none."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # peers

from peers import TOP_ONE, memory

from recall_daemon.pull import answer as answers
from recall_daemon.pull.answer import read_answer, read_json
from recall_daemon.pull.errors import AnswerInvalid

ONE = memory(1)
TWO = [ONE, memory(2)]


@pytest.mark.parametrize(
    "value",
    [
        TWO,
        {"result": TWO},
        {"result": json.dumps(TWO)},
        {"result": {"memories": TWO, "total": 2}},
        {"query": "x", "results": TWO, "total_count": 2},
        {"summary": "2 found", "results": TWO},
        {"data": {"items": TWO}},
        {"content": [{"type": "text", "text": json.dumps(TWO)}], "isError": False},
        {"content": [{"type": "text", "text": json.dumps(one)} for one in TWO]},
        json.dumps({"reflections": TWO}),
    ],
)
def test_memories_are_found_in_it(value: object) -> None:
    assert read_answer(value).memories == TWO


@pytest.mark.parametrize(
    "value", [ONE, {"result": ONE}, {"result": json.dumps(ONE)}, {"type": "text"} | ONE]
)
def test_a_single_one_is_one(value: Any) -> None:
    found = read_answer(value).memories
    assert [one["id"] for one in found] == ["m1"]


def test_lists_of_a_memory_are_its_own() -> None:
    one = {"text": "a list", "items": ["x"], "results": [{"text": "no memory"}]}
    assert read_answer([one]).memories == [one]


@pytest.mark.parametrize("value", [None, [], {}, "", {"result": None}, {"result": []}])
def test_nothing_is_no_error(value: object) -> None:
    answer = read_answer({"result": value} if value == {} else value)
    assert (answer.problems, [m for m in answer.memories if m]) == ([], [])


def test_a_text_for_people_inside_an_mcp_result() -> None:
    answer = read_answer({"result": TOP_ONE})
    assert [one["project"] for one in answer.memories] == ["queue"]
    assert answer.left_out == "it gives its best result alone"


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("Reflection tools not available", "not understood: 'Reflection tools"),
        ([1, memory(1)], "'1' is no memory"),
        ([["x"]], "is no memory"),
        (7, "'7' is no memory"),
    ],
)
def test_what_holds_no_memory_is_told(value: object, words: str) -> None:
    [problem] = read_answer(value).problems
    assert words in problem


@pytest.mark.parametrize(
    "value",
    [{"error": "locked"}, {"error": {"message": "locked"}}, {"isError": True, "content": "locked"}],
)
def test_an_error_is_an_error(value: object) -> None:
    with pytest.raises(AnswerInvalid, match="locked"):
        read_answer(value)


def test_nested_without_end_is_told() -> None:
    value: object = TWO
    for _ in range(50):
        value = {"result": value}
    assert read_answer(value).problems == ["its answer is nested too deep"]


def test_more_than_anybody_asked_for_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answers, "ROWS_MAX", 1)
    answer = read_answer(TWO)
    assert (answer.memories, answer.left_out) == ([ONE], "it gave 2 memories; 1 are taken")


def test_it_says_what_it_is_called() -> None:
    assert read_answer({"system_id": "desk", "memories": TWO}).name == "desk"


@pytest.mark.parametrize("data", [b"<html>", b"\xff\xfe", b"[" * 100_000, b'{"a": 1', b"1" * 5_000])
def test_bytes_that_are_no_json_are_one_sentence(data: bytes) -> None:
    with pytest.raises(AnswerInvalid, match="its answer is not"):
        read_json(data)
