"""Memory-sized texts from the documentation of installed packages, in seeded order.

Prose of docstrings, READMEs and package descriptions, cut at the ends of paragraphs and sentences
into texts of 100 to 1,000 characters. Nothing is downloaded and nothing is made up.
"""

from __future__ import annotations

import random
import re
import sysconfig
from collections.abc import Iterator
from pathlib import Path

from texts import docstrings, files_below, is_prose, source_files

MIN_CHARS = 100
MAX_CHARS = 1_000
# What a mixture takes of each of its texts: three of them, joined, stay within MAX_CHARS.
EXCERPT_CHARS = 330

_SENTENCE_END = re.compile(r"(?<=[.!?])\s+(?=[A-Z`\"'(])")
_PROSE_FILES = (".md", ".rst")


def memory_texts(limit: int, seed: int) -> list[str]:
    """At most `limit` texts, or all there are; no two have the same excerpt.

    Reads files in seeded order until it has enough, then every text is as likely as the next.
    """
    files = _files()
    random.Random(seed).shuffle(files)
    found: dict[str, str] = {}
    for path in files:
        for text in _texts_of(path):
            found.setdefault(excerpt(text), text)
        # Twice as many as asked for, so that no few long files make up the whole answer.
        if len(found) >= 2 * limit:
            break
    texts = list(found.values())
    random.Random(seed).shuffle(texts)
    return texts[:limit]


def sentences(text: str) -> list[str]:
    return _SENTENCE_END.split(text)


def excerpt(text: str) -> str:
    """Whole sentences around the longest one, `MIN_CHARS` at least where the text has them, and
    `EXCERPT_CHARS` at most."""
    all_ = sentences(text)
    first = last = max(range(len(all_)), key=lambda at: len(all_[at]))
    while len(" ".join(all_[first : last + 1])) < MIN_CHARS and last - first + 1 < len(all_):
        first, last = (first, last + 1) if last + 1 < len(all_) else (first - 1, last)
    return " ".join(all_[first : last + 1])[:EXCERPT_CHARS].rstrip()


def _files() -> list[Path]:
    site = Path(sysconfig.get_paths()["purelib"])
    prose = files_below(site, *_PROSE_FILES)
    return source_files() + sorted([*prose, *site.glob("*.dist-info/METADATA")])


def _texts_of(path: Path) -> Iterator[str]:
    documents = docstrings(path) if path.suffix == ".py" else [_prose_of(path)]
    for document in documents:
        yield from _cut(re.split(r"\n\s*\n", document))


def _prose_of(path: Path) -> str:
    content = path.read_text(encoding="utf-8", errors="replace")
    # The header of a package's METADATA ends with the first empty line.
    return content.partition("\n\n")[2] if path.name == "METADATA" else content


def _cut(blocks: list[str]) -> Iterator[str]:
    """Paragraphs that are prose, neighbours joined while too short, long ones cut."""
    short = ""
    for block in blocks:
        paragraph = " ".join(block.split())
        if not is_prose(block, paragraph):
            continue
        for piece in _pieces(f"{short} {paragraph}".lstrip()):
            short = piece if len(piece) < MIN_CHARS else ""
            if not short:
                yield piece


def _pieces(text: str) -> Iterator[str]:
    """Runs of whole sentences of at most `MAX_CHARS`."""
    piece = ""
    for sentence in sentences(text):
        if piece and len(piece) + 1 + len(sentence) > MAX_CHARS:
            yield piece
            piece = ""
        piece = f"{piece} {sentence}".lstrip()[:MAX_CHARS]
    if piece:
        yield piece
