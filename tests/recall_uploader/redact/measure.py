"""How much of a corpus is found, and how much of it is hurt."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from leak import Leak

from recall_uploader.redact.rule import MARKER

PART = 6
Redact = Callable[[str], str]


def is_left(secret: str, clean: str) -> bool:
    """Whether any `PART` characters of the secret in a row are still there."""
    shown = MARKER.sub("\0", clean)
    parts = (secret[at : at + PART] for at in range(max(1, len(secret) - PART + 1)))
    return any(part in shown for part in parts)


def missed(leaks: Sequence[Leak], redact: Redact) -> list[str]:
    """The names of the leaks of which something is left."""
    return [leak.name for leak in leaks if is_left(leak.secret, redact(leak.text))]


def hurt(lookalikes: Sequence[str], redact: Redact) -> list[str]:
    """The look-alikes that were changed."""
    return [text for text in lookalikes if redact(text) != text]


def share(total: int, wrong: int) -> float:
    return round((total - wrong) / total, 4)
