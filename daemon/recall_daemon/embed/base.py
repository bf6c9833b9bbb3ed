"""What the hub needs of an embedder."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from recall_daemon.embed.passages import Span
from recall_wire.manifest import EmbeddingSpace

Vectors: TypeAlias = NDArray[np.float32]


class Embedder(Protocol):
    """Blocking and safe to call from several threads."""

    @property
    def space(self) -> EmbeddingSpace:
        """The space its vectors lie in: the same for every call."""

    def encode(self, texts: Sequence[str]) -> Vectors:
        """Vectors of shape (len(texts), dim), of length 1, in the order of the texts.

        Any text will do: empty, huge, NULs, lone surrogates. Raises `EmbeddingFailed`.
        """

    def windows(self, texts: Sequence[str]) -> list[list[Span]]:
        """Where each text is cut, so that `encode` reads all of `text[start:end]`.

        Of each text at least one window and at most `passages.MAX_WINDOWS`; a text that fits into
        one is one, from 0 to its end. Any text will do; raises no error.
        """
