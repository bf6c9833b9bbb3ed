"""Edits that leave every other byte as it is."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recall_uploader.hook.json_text import JsonRefused, appended, parse, replaced, without

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=12,
)
INDENTS = st.sampled_from([None, 0, 1, 2, 4, "\t"])


def laid_out(value: object, indent: Any, *, windows: bool = False, plain: bool = False) -> str:
    text = json.dumps(value, indent=indent, ensure_ascii=plain)
    return text.replace("\n", "\r\n") if windows else text


def with_text_numbers(text: str) -> Any:
    return json.loads(text, parse_int=str, parse_float=str)


@given(VALUES, INDENTS, st.booleans(), st.booleans())
def test_it_reads_what_json_reads(value: object, indent: Any, windows: bool, plain: bool) -> None:
    text = f" {laid_out(value, indent, windows=windows, plain=plain)}\n"
    node = parse(text)
    assert node.value == with_text_numbers(text)
    assert with_text_numbers(text[node.start : node.end]) == node.value


@given(st.dictionaries(st.text(), VALUES, min_size=1), INDENTS, st.booleans())
def test_a_member_that_is_added_and_taken_out_leaves_no_trace(
    value: dict[str, object], indent: Any, windows: bool
) -> None:
    value.pop("new", None)
    text = laid_out(value, indent, windows=windows)
    root = parse(text)
    more = appended(text, root, root, {"a": [1, {}]}, "new")
    assert json.loads(more) == value | {"new": {"a": [1, {}]}}
    if value:
        assert more.startswith(text[: root.children[-1].end])
        assert without(more, parse(more), len(value)) == text
    assert ("\r\n" in more) == ("\r\n" in text)


@given(st.lists(VALUES, min_size=1), INDENTS, st.data())
def test_an_item_that_is_taken_out_leaves_the_others(
    items: list[object], indent: Any, data: st.DataObject
) -> None:
    place = data.draw(st.integers(0, len(items) - 1))
    text = laid_out(items, indent)
    assert json.loads(without(text, parse(text), place)) == items[:place] + items[place + 1 :]


def test_what_is_added_looks_like_the_rest() -> None:
    text = '{\n    "a": {},\n    "n": 12345678901234567890.10\n}'
    root = parse(text)
    assert appended(text, root, root, ["x"], "b") == (
        '{\n    "a": {},\n    "n": 12345678901234567890.10,\n    "b": [\n        "x"\n    ]\n}'
    )
    inner = root.member("a")
    assert inner is not None
    assert '"a": {\n        "b": 1\n    },' in appended(text, root, inner, 1, "b")
    line = '{"a": [1, 2]}'
    node = parse(line)
    assert appended(line, node, node.children[0], {"b": 3}) == '{"a": [1, 2, {"b": 3}]}'


def test_a_value_is_replaced_in_its_place() -> None:
    text = '{ "a" : "old" ,\t"b":1 }'
    assert replaced(text, parse(text).children[0], 'ü"') == '{ "a" : "ü\\"" ,\t"b":1 }'


def test_numbers_of_any_size_are_only_text() -> None:
    digits = "9" * 10_000
    assert parse(f"[{digits}, 1e999]").value == [digits, "1e999"]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "line 1"),
        ("{", "line 1"),
        ('{"a": 1,}', "double quotes"),
        ('{"a" 1}', "colon"),
        ("[1 2]", "comma"),
        ('{\n// why\n"a": 1}', "line 2"),
        ('{"a": 1} {}', "more after the end"),
        ("{a: 1}", "double quotes"),
        ('{"a": 1, "\\u0061": 2}', "stands twice"),
        ('{"b": {"a": 1, "a": 1}}', "stands twice"),
        ("[NaN]", "NaN"),
        ("[-Infinity]", "Infinity"),
        ('["a\nb"]', "control character"),
        ("['a']", "line 1"),
        ("[" * 100_000, "too deeply"),
        ("[1,,2]", "line 1"),
        ("[tru]", "line 1"),
    ],
)
def test_what_is_no_json_is_refused(text: str, says: str) -> None:
    with pytest.raises(JsonRefused, match=says):
        parse(text)
