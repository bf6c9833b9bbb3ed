"""Whether a text holds the query word for word, whatever the case, spacing and Unicode form."""

from __future__ import annotations

from recall_daemon.index.analysis import composed


def normal(text: str) -> str:
    """Case-folded, NFKC, every run of white space or NUL one space."""
    return " ".join(composed(text.replace("\0", " ")).casefold().split())


def holds(text: str | None, normal_query: str) -> bool:
    return text is not None and normal_query in normal(text)
