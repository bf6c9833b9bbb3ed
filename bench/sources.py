"""What a corpus is made from: texts, questions and their vectors, kept in a folder."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt

from conversations import conversations
from documents import memory_texts, sentences
from recall_daemon.embed.base import Embedder
from recall_daemon.embed.choose import open_embedder
from report import progress

Vectors = npt.NDArray[np.float32]
EmbedderName = Literal["minilm", "hash"]

# Without real questions, this share of the texts is held back, and their first sentences asked.
HELD_BACK_SHARE = 0.02
_EMBED_TEXTS = 1_024
_QUOTE = re.compile(r'["\u201c\u201d]')


@dataclass(frozen=True)
class Options:
    """Where the corpus is kept, and what it is made from. `texts`: at most so many real ones."""

    folder: Path = Path("~/.cache/recalld-bench")
    questions: Path | None = None
    texts: int = 25_000
    seed: int = 0
    embedder: EmbedderName = "minilm"


@dataclass(frozen=True)
class Sources:
    """Texts and questions, none of which is among the texts, and their vectors."""

    texts: Sequence[str]
    text_vectors: Vectors
    questions: Sequence[str]
    question_vectors: Vectors
    questions_from: str


def open_sources(options: Options) -> Sources:
    """From the folder, or made and kept there: minutes, the first time."""
    folder = options.folder.expanduser()
    folder.mkdir(parents=True, exist_ok=True)
    texts, questions, source = _split(_texts(folder, options), options.questions)
    embedding = _Embedding(folder, options.embedder)
    return Sources(texts, embedding.of(texts), questions, embedding.of(questions), source)


def _texts(folder: Path, options: Options) -> list[str]:
    path = folder / f"texts-{options.texts}-{options.seed}.json"
    if not path.exists():
        progress(f"reading the documentation of installed packages for {options.texts} texts")
        texts = memory_texts(options.texts, options.seed)
        rest = path.with_suffix(".rest")
        rest.write_text(json.dumps(texts, ensure_ascii=False), encoding="utf-8")
        rest.rename(path)
    return list(json.loads(path.read_bytes()))


def _split(texts: list[str], folder: Path | None) -> tuple[list[str], list[str], str]:
    """Texts, questions, and where the questions come from."""
    if folder is None:
        held_back = max(1, round(len(texts) * HELD_BACK_SHARE))
        asked = [sentences(text)[0] for text in texts[:held_back]]
        source = "first sentences of documentation that was held back: no folder of questions given"
        rest = texts[held_back:]
    else:
        found = conversations(folder)
        asked = [question.text.strip() for each in found for question in each.questions]
        source = f"the conversations in {folder.name}, those without quotations"
        rest = texts
    # What a query quotes must be in every hit of it, which is not what an exact scan looks for.
    questions = [text for text in dict.fromkeys(asked) if not _QUOTE.search(text)]
    known = set(questions)
    return [text for text in rest if text not in known], questions, source


@dataclass
class _Embedding:
    """Embeds what was not embedded before; keeps it by content."""

    folder: Path
    name: EmbedderName
    _opened: Embedder | None = None

    def of(self, texts: Sequence[str]) -> Vectors:
        path = self.folder / f"vectors-{self.name}-{digest(list(texts))}.npy"
        if not path.exists():
            rest = path.with_suffix(".rest.npy")
            np.save(rest, self._embed(texts))
            rest.rename(path)
        return np.asarray(np.load(path), dtype=np.float32)

    def _embed(self, texts: Sequence[str]) -> Vectors:
        embedder = self._opened or open_embedder(self.name, data_dir=self.folder)
        self._opened = embedder
        parts = []
        for start in range(0, len(texts), _EMBED_TEXTS):
            progress(f"embedding texts from {start} of {len(texts)}")
            parts.append(embedder.encode(texts[start : start + _EMBED_TEXTS]))
        return np.concatenate(parts)


def digest(value: object) -> str:
    return hashlib.sha256(json.dumps(value).encode()).hexdigest()[:16]
