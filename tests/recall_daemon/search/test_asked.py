"""What a query is read as."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recall_daemon.search.asked import read


@pytest.mark.parametrize(
    ("query", "quotes", "plain"),
    [
        ('"blue deployment"', ("blue deployment",), "blue deployment"),
        ('who said "blue deployment"?', ("blue deployment",), "who said blue deployment?"),
        ('"a b" and "c"', ("a b", "c"), "a b and c"),
        ("say \u201cblue deployment\u201d", ("blue deployment",), "say blue deployment"),
        ('("in brackets")', ("in brackets",), "(in brackets)"),
        ('an open "quotation', (), 'an open "quotation'),
        ('"one" and "half', ("one",), 'one and "half'),
        ('5" disk and 3" tape', (), '5" disk and 3" tape'),
        ('{"level":"error"}', (), '{"level":"error"}'),
        ('""', (), '""'),
        ('"', (), '"'),
        ('" "', (), '" "'),
    ],
)
def test_quotations(query, quotes, plain):
    asked = read(query)
    assert asked.quotes == quotes
    assert asked.plain == plain


@pytest.mark.parametrize(
    ("query", "content"),
    [
        ("When did Caroline go to the group?", "Caroline go to the group?"),
        ("how", "how"),
        ("What is what?", "What is what?"),
        ("the whatnot", "the whatnot"),
        ("kafka lag", "kafka lag"),
    ],
)
def test_words_that_only_ask_are_not_looked_for(query, content):
    assert read(query).content == content


@pytest.mark.parametrize(
    ("word", "is_one"),
    [
        ("max.poll.records", True),
        ("/etc/hosts", True),
        ("src/app/main.py", True),
        ("poll_timeout", True),
        ("pollTimeout", True),
        ("std::vector", True),
        ("C:\\temp\\x", True),
        ("E1234", True),
        ("me@example.org", True),
        ("PROJ-123", True),
        ("a94a8fe5cc", True),
        ("192.168.0.1", True),
        ("and/or", False),
        ("e.g.", False),
        ("i.e", False),
        ("well-known", False),
        ("2023", False),
        ("Caroline", False),
        ("...", False),
        ("YouTube", False),
        ("iPhone", False),
        ("macOS", False),
        ("18th", False),
        ("5K", False),
        ("500gb", False),
        ("1990s", False),
        ("COVID-19", False),
        ("utf-8", False),
        ("12:30", False),
        ("$12.50", False),
        ("5/8/2023", False),
        ("10.25", False),
    ],
)
def test_identifiers(word, is_one):
    assert read(f"what of {word}, then?").identifiers == ((word,) if is_one else ())


@pytest.mark.parametrize("query", ["YouTube", "COVID-19", "k8s", "(10.25)"])
def test_alone_more_may_be_one(query):
    assert read(query).identifiers == (query.strip("()"),)


@pytest.mark.parametrize(
    ("query", "beside"),
    [
        ('"blue deployment"', False),
        ('"blue deployment" "on friday"', False),
        ('("blue deployment")?', False),
        ('who said "blue deployment"', True),
        ("blue deployment", True),
    ],
)
def test_words_beside_the_quotes(query, beside):
    assert read(query).beside_quotes is beside


@pytest.mark.parametrize(
    ("query", "ids"),
    [
        ("D1:3", {"D1:3"}),
        ("what did D1:3 say?", {"what did D1:3 say?", "D1:3"}),
        ("(note-12)", {"(note-12)", "note-12"}),
        ("plain", {"plain"}),
        ("plain?", {"plain?", "plain"}),
        ("on May 3, 2023", {"on May 3, 2023"}),
    ],
)
def test_possible_ids(query, ids):
    assert set(read(query).ids) == ids


def test_nobody_names_an_id_in_a_pasted_passage():
    asked = read("id-7 max.poll.records " * 50)
    assert asked.identifiers == asked.ids == ()


@given(st.text(min_size=1, max_size=300))
def test_any_text_is_a_query(query):
    asked = read(query)
    assert asked.plain
    assert asked.content or not query.strip()


def test_quotes_in_great_number_are_bounded():
    asked = read('"a b" ' * 10_000)
    assert asked.quotes == ("a b",)
    assert len(read(" ".join(f'"q{n}"' for n in range(1_000))).quotes) == 16
