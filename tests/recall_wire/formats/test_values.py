"""Single values of any type, to the one type a record has."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recall_wire.formats import values


@given(st.text())
def test_valid_text_is_never_touched(text: str) -> None:
    assert values.to_text(text) == text
    assert values.to_text(text.encode()) == text
    assert not values.is_broken(text.encode())


@given(st.binary())
def test_any_bytes_become_text(data: bytes) -> None:
    text = values.to_text(data)
    assert text is not None
    assert (text.encode() != data) == values.is_broken(data)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (0, datetime(1970, 1, 1)),
        (1_700_000_000, datetime(2023, 11, 14, 22, 13, 20)),
        (1_700_000_000.123456, datetime(2023, 11, 14, 22, 13, 20, 123456)),
        (1_700_000_000_123, datetime(2023, 11, 14, 22, 13, 20, 123000)),
        (Decimal("1700000000123456"), datetime(2023, 11, 14, 22, 13, 20, 123456)),
        (1_700_000_000_123_456_789, datetime(2023, 11, 14, 22, 13, 20, 123457)),
        (-1, datetime(1969, 12, 31, 23, 59, 59)),
        ("1700000000", datetime(2023, 11, 14, 22, 13, 20)),
        (" 2023-11-14T22:13:20Z ", datetime(2023, 11, 14, 22, 13, 20)),
        ("20231114T221320", datetime(2023, 11, 14, 22, 13, 20)),
        (date(2023, 11, 14), datetime(2023, 11, 14)),
        (datetime(2023, 1, 1, tzinfo=timezone(timedelta(hours=-3))), datetime(2023, 1, 1, 3)),
    ],
)
def test_times(value: object, expected: datetime) -> None:
    assert values.to_time(value, UTC) == expected.replace(tzinfo=UTC)


@pytest.mark.parametrize(
    "value",
    [None, True, "", "soon", float("nan"), float("inf"), 10**30, 10**20 * 9, "1e400", [1], b"x"],
)
def test_what_is_no_time(value: object) -> None:
    assert values.to_time(value, UTC) is None


def test_a_naive_time_at_the_edge_of_the_calendar() -> None:
    assert values.to_time(datetime.max, timezone(timedelta(hours=-1))) is None
    assert values.to_time(datetime.min, timezone(timedelta(hours=1))) is None


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, ()),
        (["a", None, " a ", "", 3], ("a", "3")),
        ("a, b,,a", ("a", "b")),
        ('["a, b", "c"]', ("a, b", "c")),
        ("[a, b]", ("a", "b")),
        (b'["x"]', ("x",)),
        ({"k": 1}, ("k",)),
        (7, ()),
    ],
)
def test_tags(value: object, expected: tuple[str, ...]) -> None:
    assert values.to_tags(value) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [([1, 2], (1.0, 2.0)), ("[1, 2.5]", (1.0, 2.5)), ([1], None), ([1, None], None),
     ([1, float("inf")], None), (["a", "b"], None), (3, None), ([10**400, 1], None)],
)  # fmt: skip
def test_vectors(value: object, expected: tuple[float, ...] | None) -> None:
    assert values.to_vector(value, 2) == expected


def test_json_is_canonical_and_valid() -> None:
    nested: object = "deep"
    for _ in range(500):
        nested = [nested]
    text = values.dump_json(
        {
            "b": float("nan"),
            "a": b"\xff",
            "\ud800": Decimal("1.5"),
            "t": date(2026, 1, 1),
            "n": nested,
        }
    )
    loaded = json.loads(text)
    assert text.encode().startswith(b'{"a":"/w==","b":null,')
    assert (loaded["\ufffd"], loaded["t"]) == (1.5, "2026-01-01")
