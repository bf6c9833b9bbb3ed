"""Token ids are the reference's, however much text follows; batches keep to their budget."""

from __future__ import annotations

import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer

from recall_daemon.embed import tokens as tokens_module
from recall_daemon.embed.errors import ModelDamaged
from recall_daemon.embed.locate import MAX_TOKENS, ModelFiles
from recall_daemon.embed.tokens import Tokens, batches

PIECES = ["a ", "word ", "unbelievable", "漢", "é", "e\u0301", "\u0301", "  ", "\0", "!", "\u200b"]


@pytest.fixture(scope="session")
def tokens(files: ModelFiles) -> Tokens:
    return Tokens(files.tokenizer)


@pytest.fixture(scope="session")
def plain(files: ModelFiles) -> Tokenizer:
    tokenizer = Tokenizer.from_file(str(files.tokenizer))
    tokenizer.no_padding()
    tokenizer.enable_truncation(MAX_TOKENS)
    return tokenizer


@pytest.mark.parametrize(
    "text",
    [
        "x" * 9_000 + " tail of the text",
        " " * 20_000 + "tail of the text",
        "\0" * 60_000 + "tail of the text",
        "e" + "\u0301" * 9_000 + " tail of the text",
        "漢字" * 5_000,
        "internationalization " * 3_000,
        "word-" * 818 + "unbelievable" * 3 + " end",
    ],
)
def test_long_texts_have_the_ids_of_the_whole_text(
    tokens: Tokens, plain: Tokenizer, text: str
) -> None:
    assert tokens.ids([text]) == [plain.encode(text).ids]


@given(st.lists(st.sampled_from([*PIECES, "y" * 120 + " "]), min_size=150, max_size=700))
@settings(max_examples=60, deadline=None)
def test_reading_only_the_beginning_changes_nothing(
    tokens: Tokens, plain: Tokenizer, pieces: list[str]
) -> None:
    text = "".join(pieces)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tokens_module, "FIRST_CHARS", 300)
        assert tokens.ids([text]) == [plain.encode(text).ids]


@pytest.mark.parametrize("text", ["plain words " * 420_000, "z" * 5_000_000, "\0 \t" * 1_700_000])
def test_five_megabytes_cost_no_more_than_their_beginning(tokens: Tokens, text: str) -> None:
    start = time.monotonic()
    (ids,) = tokens.ids([text])
    assert len(ids) <= MAX_TOKENS
    assert time.monotonic() - start < 5.0


def test_a_lone_surrogate_is_read_as_a_question_mark(tokens: Tokens) -> None:
    assert tokens.ids(["a \ud800 b"]) == tokens.ids(["a ? b"])


def test_batches_hold_every_text_once_within_the_budget() -> None:
    rng = np.random.default_rng(3)
    ids = [[1] * int(length) for length in rng.integers(2, 257, 300)]
    made = list(batches(ids, token_budget=1024))
    assert sorted(int(row) for batch in made for row in batch.rows) == list(range(300))
    assert all(batch.input_ids.size <= 1024 for batch in made)
    assert all(
        batch.attention_mask.sum(axis=1).tolist() == [len(ids[row]) for row in batch.rows]
        for batch in made
    )
    padding = 1 - sum(len(row) for row in ids) / sum(batch.input_ids.size for batch in made)
    assert padding < 0.05


def test_a_text_longer_than_the_budget_has_a_batch_of_its_own() -> None:
    made = list(batches([[1] * 200, [1] * 10], token_budget=50))
    assert [batch.input_ids.shape for batch in made] == [(1, 200), (1, 10)]


def test_a_file_that_is_no_tokenizer_is_refused(tmp_path) -> None:  # type: ignore[no-untyped-def]
    (tmp_path / "tokenizer.json").write_text("{}")
    with pytest.raises(ModelDamaged, match="not a tokenizer"):
        Tokens(tmp_path / "tokenizer.json")
