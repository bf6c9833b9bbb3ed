"""Texts to token ids, and token ids to length-sorted batches under a token budget."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recall_daemon.embed.errors import ModelDamaged
from recall_daemon.embed.locate import MAX_TOKENS

# Measured on 2 cores: the activations of about 1,024 tokens stay in the caches.
TOKEN_BUDGET = 1024
FIRST_CHARS = 4096
# Fewer than 256 tokens in 65,536 characters (blanks and NULs not counted) is no language: one
# token stands for at most 100 characters, or for a whole longer "word". Nothing behind is read.
MAX_CHARS = 65_536
_BLANKS = re.compile(r"[ \t\r\n]{2,}")


@dataclass(frozen=True)
class Batch:
    """Padded ids and their mask, int64 [batch, width]; `rows` says which texts they are."""

    rows: NDArray[np.intp]
    input_ids: NDArray[np.int64]
    attention_mask: NDArray[np.int64]

    @property
    def is_padded(self) -> bool:
        return not self.attention_mask.all()


class Tokens:
    """The model's own tokenizer, cut at 256 tokens. Safe to call from several threads."""

    def __init__(self, path: Path) -> None:
        from tokenizers import Tokenizer

        try:
            self._tokenizer = Tokenizer.from_file(str(path))
        except Exception as error:  # the library raises plain Exception
            raise ModelDamaged(f"{path} is not a tokenizer: {error}") from error
        # The file asks for padding to 128 and truncation at 128; sentence-transformers overrides
        # both.
        self._tokenizer.no_padding()
        self._tokenizer.enable_truncation(MAX_TOKENS)

    def ids(self, texts: Sequence[str]) -> list[list[int]]:
        """The ids the reference would give, in the order of the texts.

        A long text is read from its beginning, only as far as 256 tokens need. Raises no error
        for any text.
        """
        heads = [_readable(text, FIRST_CHARS) for text in texts]
        encodings = self._tokenizer.encode_batch_fast(heads)
        return [
            encoding.ids if len(text) <= FIRST_CHARS or _is_settled(encoding) else self._long(text)
            for text, encoding in zip(texts, encodings, strict=True)
        ]

    def _long(self, text: str) -> list[int]:
        text = _BLANKS.sub(" ", text.replace("\0", ""))
        chars = FIRST_CHARS
        while True:
            encoding = self._tokenizer.encode(_readable(text, chars))
            if chars >= min(len(text), MAX_CHARS) or _is_settled(encoding):
                ids: list[int] = encoding.ids
                return ids
            chars *= 4


def _is_settled(encoding: Any) -> bool:
    """Whether more text could not change the first 256 tokens.

    More was read than was kept, and the word that the reading was cut in is not among the kept.
    The last place of each part is [SEP], which belongs to no word.
    """
    rest = encoding.overflowing
    return bool(rest) and encoding.word_ids[-2] != rest[-1].word_ids[-2]


def _readable(text: str, chars: int) -> str:
    head = text[:chars]
    # The tokenizer takes UTF-8; a lone surrogate has none.
    return head if head.isascii() else head.encode("utf-8", "replace").decode("utf-8")


def batches(ids: Sequence[Sequence[int]], token_budget: int = TOKEN_BUDGET) -> Iterator[Batch]:
    """Longest first, so that texts of like length meet and little is padding.

    A batch holds at most `token_budget` places, padding included, or one text.
    """
    lengths = np.array([len(row) for row in ids], dtype=np.int64)
    order = np.argsort(-lengths, kind="stable")
    start = 0
    while start < len(order):
        width = int(lengths[order[start]])
        rows = order[start : start + max(1, token_budget // width)]
        yield _pad(ids, rows, lengths[rows], width)
        start += len(rows)


def _pad(
    ids: Sequence[Sequence[int]], rows: NDArray[np.intp], lengths: NDArray[np.int64], width: int
) -> Batch:
    mask = np.arange(width) < lengths[:, None]
    padded = np.zeros(mask.shape, dtype=np.int64)  # 0 is [PAD]
    padded[mask] = np.concatenate([np.asarray(ids[row], dtype=np.int64) for row in rows])
    return Batch(rows, padded, mask.astype(np.int64))
