"""Texts, JSON, identities and records without their secrets."""

from __future__ import annotations

import json
from dataclasses import fields
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from leaks import leaks
from made_up import ALNUM, MadeUp
from pydantic import ValidationError

from recall_uploader.redact import RedactedRecord, Redactor, RedactRule
from recall_uploader.redact.rule import lower
from recall_wire.errors import SettingsInvalid
from recall_wire.records import Record, to_batch

MADE = MadeUp(5)
TOKEN = MADE.token("gh" + "p_", 36)
OTHER = MADE.token("gh" + "p_", 36)
WORD = MADE.password()
GONE = "[redacted:github-token]"


# Texts


SECRET = "yETg7kQ2mVb9LpR4" + "tYw8Zs"


@pytest.mark.parametrize(
    "text",
    [
        f"const s = process.env.JWT_SECRET || '{SECRET}'",
        f'key = os.getenv("API_KEY") or "{SECRET}"',
        f'ENV["SECRET_KEY"] ||= "{SECRET}"',
        f'tokens = ["{SECRET}"]',
        json.dumps({"secrets": [SECRET]}),
        json.dumps({"passwords": {"db": SECRET}}),
    ],
)
def test_a_default_and_a_list_hold_secrets_too(text: str) -> None:
    clean, count = Redactor().document(text)
    assert (SECRET in clean, count) == (False, 1)


@pytest.mark.parametrize(
    "text",
    [
        'os.getenv("API_KEY") or "default"',
        'tokens = ["the", "quick"]',
        json.dumps({"tokens": {"model": "claude-sonnet-4-20250514", "total": 500}}),
        json.dumps({"credentials": {"name": "prod-db", "region": "eu-west-1"}}),
    ],
)
def test_what_only_looks_like_a_default_or_a_list_stays(text: str) -> None:
    assert Redactor().document(text)[1] == 0


def test_a_secret_becomes_the_name_of_its_rule_and_is_counted() -> None:
    redactor = Redactor()
    assert redactor.text(f"{TOKEN}, {OTHER} and password={WORD}") == (
        f"{GONE}, {GONE} and password=[redacted:assigned]",
        3,
    )
    assert redactor.counts == {"github-token": 2, "assigned": 1}


def test_two_rules_that_find_the_same_make_one_marker() -> None:
    assert Redactor().text(f'token = "{TOKEN}"') == (f'token = "{GONE}"', 1)


@pytest.mark.parametrize("text", ["", " ", "\0", "\ud800 lone \udfff", "İ" * 50, "password=\ud83d"])
def test_odd_texts_pass(text: str) -> None:
    assert Redactor().text(text) == (text, 0)


def test_surrogates_and_wide_letters_beside_a_secret_stay() -> None:
    text = f"İİ \ud83d\ude00 {TOKEN} \udc00 é😀"
    assert Redactor().text(text) == (text.replace(TOKEN, GONE), 1)


def test_lower_case_keeps_every_place() -> None:
    text = "\u0130X\u212aẞ\u0130"
    assert len(lower(text)) == len(text)
    assert lower("PassWord") == "password"


@settings(max_examples=300, deadline=None)
@given(st.lists(st.sampled_from([
    *"\"'`=: \n\\,;@/[]{}()-.|", "password", "token", "secret", "bearer ", "authorization",
    "[redacted:assigned]", "#0123456789ab", "postgres://", "eyJ", "key", "https://u:", "x7Gh29aQ",
    "-----BEGIN RSA PRIVATE KEY-----", "-----END RSA PRIVATE KEY-----", "MIIabcDEF1234567890abcd",
    "hunter2", "is", "curl -u a:", "cookie: ", "sig=", TOKEN,
]), max_size=24).map("".join))  # fmt: skip
def test_redaction_is_idempotent_whatever_stands_together(text: str) -> None:
    redactor = Redactor()
    clean, _ = redactor.text(text)
    assert redactor.text(clean) == (clean, 0)
    assert TOKEN not in clean


@pytest.mark.parametrize("secrets", [1, 7, 8, 9, 10, 200])
def test_a_text_whose_every_pass_lays_bare_another_secret_keeps_none(secrets: int) -> None:
    redactor = Redactor([RedactRule(name="peel", pattern=r"(?:^|(?<=\]))\w")])
    clean, count = redactor.text("abcdefgh" * (secrets // 8) + "abcdefgh"[: secrets % 8])
    assert clean == "[redacted:peel]" * min(secrets, 9)
    assert count == min(secrets, 9)
    assert redactor.text(clean) == (clean, 0)


def test_what_a_cut_lays_bare_takes_all_of_the_text_along() -> None:
    pattern = r"(?:(?<=: )|(?<=\]))\w|(?:see|keep:) (?=\S+\Z)"
    redactor = Redactor([RedactRule(name="peel", pattern=pattern)])
    clean, _ = redactor.text("see keep: abcdefghijkl end")
    assert clean == "[redacted:peel]"
    assert redactor.text(clean) == (clean, 0)


# Settings


def test_a_rule_of_ones_own_replaces_its_group_or_the_whole_match() -> None:
    rules = [
        RedactRule(name="badge", pattern=r"badge (?P<secret>\d+)"),
        RedactRule(name="project-name", pattern=r"(?i)bluebird"),
    ]
    redactor = Redactor(rules)
    assert redactor.text("badge 1234 of BlueBird") == (
        "badge [redacted:badge] of [redacted:project-name]",
        2,
    )


def test_what_an_allowed_pattern_matches_in_full_stays() -> None:
    redactor = Redactor(allow=[r"hunter\d"])
    assert redactor.text("password=hunter2") == ("password=hunter2", 0)
    assert redactor.text("password=hunter22")[1] == 1


@pytest.mark.parametrize(
    ("name", "pattern", "reason"),
    [
        ("Upper", "x", "String should match pattern"),
        ("a" * 41, "x", "String should match pattern"),
        ("newline\n", "x", "String should match pattern"),
        ("a", "(unclosed", "no Python regular expression"),
        ("a", "x*", "matches the empty string"),
        ("a", "", "matches the empty string"),
    ],
)
def test_a_rule_that_cannot_work_is_refused(name: str, pattern: str, reason: str) -> None:
    with pytest.raises(ValidationError, match=reason) as refused:
        RedactRule(name=name, pattern=pattern)
    assert "(unclosed" not in str(refused.value)


def test_a_rule_has_no_other_keys() -> None:
    with pytest.raises(ValidationError, match="Extra inputs"):
        RedactRule.model_validate({"name": "a", "pattern": "x", "group": 1})


def test_an_allowed_pattern_that_is_none_is_refused_in_one_sentence() -> None:
    with pytest.raises(SettingsInvalid, match="an allowed pattern") as refused:
        Redactor(allow=["[a"])
    assert "[a" not in str(refused.value)


def test_a_rule_that_matches_a_marker_changes_nothing_twice() -> None:
    redactor = Redactor([RedactRule(name="greedy", pattern=r".*redacted.*|hunter\w+")])
    clean, _ = redactor.text("see hunter2 there")
    again, count = redactor.text(clean)
    assert redactor.text(again) == (again, 0)
    assert count <= 2


# JSON and identities


def test_json_is_walked_and_stays_json() -> None:
    key = MADE.pem()
    text = json.dumps({"b": [{"private": key}], "a": {TOKEN: 1, OTHER: 2}, "n": 1.5, "ok": True})
    clean, count = Redactor().document(text)
    loaded = json.loads(clean)
    assert count == 3
    assert loaded["b"] == [{"private": "[redacted:private-key]"}]
    assert len(loaded["a"]) == 2
    assert all(name.startswith(f"{GONE}#") for name in loaded["a"])
    assert (loaded["n"], loaded["ok"]) == (1.5, True)


@pytest.mark.parametrize(
    "value",
    [
        {"password": WORD},
        {"db": {"Password": [WORD]}},
        {"env": [{"name": "DB_PASSWORD", "value": WORD}]},
        {"pin": {"password": 12345678}},
        {"pin": {"password": 12345678.5}},
        {"inner": json.dumps({"password": WORD})},
        {"headers": {"Authorization": f"Bearer {MADE.of(ALNUM, 20)}"}},
        {"headers": {"X-Api-Key": MADE.of(ALNUM, 20)}},
    ],
)
def test_a_value_is_known_by_its_key(value: object) -> None:
    clean, count = Redactor().document(json.dumps(value))
    assert count == 1
    json.loads(clean)
    assert WORD not in clean
    assert "12345678" not in clean


@pytest.mark.parametrize(
    "text",
    [
        '{"password_hash": "x", "max_tokens": 4096, "token": "expired", "password": null}',
        '{"password": true, "token_count": 5000}',
        '{ "spaces" : "kept" }',
        "[1, 2",
        "[" * 3000,
        '{"password": "' + "[redacted:assigned]" + '"}',
    ],
)
def test_json_without_secrets_stays_to_the_letter(text: str) -> None:
    assert Redactor().document(text) == (text, 0)


def test_a_key_that_is_there_twice_hides_nothing() -> None:
    clean, count = Redactor().document(f'{{"a": "{TOKEN}", "a": "x"}}')
    assert count == 1
    assert TOKEN not in clean


def test_an_identity_stays_distinct_and_the_same() -> None:
    redactor = Redactor()
    first, count = redactor.identity(f"run-{TOKEN}")
    assert count == 1
    assert first.startswith(f"{GONE}#")
    assert len(first) == len(GONE) + 13
    assert Redactor().identity(f"run-{TOKEN}") == (first, 1)
    assert redactor.identity(f"run-{OTHER}")[0] != first
    assert redactor.identity(first) == (first, 0)
    assert redactor.identity("conversation-17") == ("conversation-17", 0)


# Records


def record(**changes: object) -> Record:
    fields = {"memory_id": "m1", "kind": "conversation", "text": "plain", "embedding": (0.5, 0.25)}
    return Record(**{**fields, **changes})  # type: ignore[arg-type]


def test_a_record_without_secrets_is_the_same_object() -> None:
    plain = record(tags=("a",), metadata='{"n":1}', session_id="s", created_at=datetime.now(UTC))
    assert Redactor().record(plain) is plain


_TEXTS = tuple(field.name for field in fields(Record) if "str" in str(field.type))
_CHOICES = ("kind", "op")


def test_the_fields_of_text_are_known() -> None:
    assert set(_TEXTS) >= {"memory_id", "text", "tags", "metadata", "target_system", "base_version"}
    assert not {"kind", "op", "created_at", "importance", "embedding"} & set(_TEXTS)
    others = {"created_at", "updated_at", "importance", "embedding"}
    assert {field.name for field in fields(Record)} == {*_TEXTS, *_CHOICES, *others}


@pytest.mark.parametrize("name", _TEXTS)
def test_every_field_of_text_is_redacted_and_looked_at(name: str) -> None:
    value = {"tags": ("a", TOKEN), "metadata": json.dumps({"k": TOKEN})}.get(name, TOKEN)
    (clean,) = Redactor().records([record(**{name: value})])
    assert isinstance(clean, RedactedRecord)
    assert clean.redacted == 1
    assert TOKEN not in repr(clean)
    assert "[redacted:github-token]" in str(getattr(clean, name))


def test_ids_of_all_kinds_become_the_same_and_tags_one() -> None:
    names = ("memory_id", "parent_id", "session_id", "agent_id", "user_id", "base_version")
    clean = Redactor().record(record(tags=("a", TOKEN, OTHER), **dict.fromkeys(names, TOKEN)))
    assert isinstance(clean, RedactedRecord)
    assert clean.redacted == 2 + len(names)
    assert clean.tags == ("a", GONE)
    assert len({getattr(clean, name) for name in names}) == 1
    assert to_batch([clean]).num_rows == 1


def test_a_changed_text_loses_its_vector_and_another_field_does_not() -> None:
    assert Redactor().record(record(text=TOKEN)).embedding is None
    assert Redactor().record(record(project=TOKEN)).embedding == (0.5, 0.25)


def test_row_hashes_are_the_same_from_run_to_run_and_know_no_count() -> None:
    source = record(text=f"use {TOKEN}")
    first, second = Redactor().record(source), Redactor().record(source)
    assert first.row_hash() == second.row_hash()
    plain = record(text=f"use {GONE}", embedding=None)
    assert first.row_hash() == plain.row_hash()


def test_records_are_streamed() -> None:
    redactor = Redactor()
    stream = redactor.records(iter([record(), record(text=TOKEN)]))
    assert isinstance(next(stream), Record)
    assert redactor.counts == {}
    assert next(stream).text == GONE
    assert redactor.counts == {"github-token": 1}


def test_references_stay_intact() -> None:
    redactor = Redactor()
    parent = redactor.record(record(memory_id=f"t-{TOKEN}"))
    child = redactor.record(record(memory_id="c", parent_id=f"t-{TOKEN}"))
    assert child.parent_id == parent.memory_id


def test_every_leak_of_the_corpus_is_found_in_metadata_too() -> None:
    """Written as JSON, with its escapes, a secret is found as in the text."""
    redactor = Redactor()
    for leak in leaks():
        clean = redactor.record(record(metadata=json.dumps({"note": leak.text})))
        assert json.loads(clean.metadata)["note"] == redactor.document(leak.text)[0], leak.name
