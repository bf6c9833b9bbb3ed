"""The quick look never passes over a text in which a rule finds something."""

from __future__ import annotations

import json

import pytest
from held_out import held_out
from hypothesis import given
from hypothesis import strategies as st
from leaks import leaks

from recall_uploader.redact.glance import Glance
from recall_uploader.redact.names import promise
from recall_uploader.redact.redactor import Redactor
from recall_uploader.redact.rules import RULES
from recall_uploader.redact.settings import RedactRule
from recall_wire.records import Record

GLANCE = Glance(RULES)
TEXTS = [leak.text for seed in range(6) for leak in (*leaks(seed), *held_out(seed))]


def test_every_text_with_a_secret_is_worth_a_look() -> None:
    assert [text for text, worth in zip(TEXTS, GLANCE.look(TEXTS), strict=True) if not worth] == []


@pytest.mark.parametrize("change", [str.upper, str.lower, str.swapcase, str.title])
def test_whatever_its_case(change: object) -> None:
    assert callable(change)
    redactor = Redactor()
    texts = [text for text in map(change, TEXTS) if redactor.text(text)[1]]
    assert len(texts) > 100
    assert all(GLANCE.look(texts))


def test_behind_escapes_and_within_metadata() -> None:
    for text in TEXTS:
        metadata = json.dumps({"note": text})
        record = Record("m", metadata=metadata)
        found = Redactor().record(record) is not record
        assert not found or [worth for _, worth in GLANCE.worth([record])] == [True]


@given(st.text(st.sampled_from("passwordtokenSECRETkeyapi_-"), min_size=2, max_size=24))
def test_a_key_that_promises_a_secret_is_worth_a_look(name: str) -> None:
    if promise(name) is not None:
        assert GLANCE.look([json.dumps({name: "x7Kq2mVb9LpR4tYw"})]) == [True]


def test_an_ordinary_text_is_passed_over() -> None:
    texts = ["we decided to cache the answers for a day", "im Büro läuft alles", ""]
    assert GLANCE.look(texts) == [False, False, False]


def test_a_rule_of_ones_own_sees_every_text() -> None:
    redactor = Redactor([RedactRule(name="staff", pattern=r"EMP-\d{6}")])
    (clean,) = redactor.records([Record("m", text="ask EMP-" + "123456")])
    assert clean.text == "ask [redacted:staff]"


def test_half_a_surrogate_pair_is_left_to_the_rules() -> None:
    assert GLANCE.look(["\ud800"]) == [True]


def test_each_record_comes_once_and_in_its_order() -> None:
    records = [Record(f"m{n}", text="x" * (n % 7) * 200_000) for n in range(2_100)]
    assert [record for record, _ in GLANCE.worth(iter(records))] == records
