"""sentence-transformers: the GPU path, and the reference the other paths are checked against."""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence

import numpy as np

from recall_daemon.embed.base import Vectors
from recall_daemon.embed.errors import EmbeddingFailed, ModelDamaged
from recall_daemon.embed.locate import DIM, MAX_TOKENS, ModelFiles
from recall_daemon.embed.passages import Span
from recall_daemon.embed.wordpieces import WordPieces

# What a text's first 256 tokens can need (see `tokens.MAX_CHARS`).
_MAX_CHARS = 65_536
_GPU_BATCH = 256


class TorchEmbedder:
    """`SentenceTransformer.encode` itself. One call at a time; others wait."""

    def __init__(self, files: ModelFiles, *, device: str) -> None:
        self.space = files.space
        self._batch_size = 32 if device == "cpu" else _GPU_BATCH
        self._lock = threading.Lock()
        self._pieces = WordPieces(files.tokenizer)
        self._model = _load(files, device)

    def encode(self, texts: Sequence[str]) -> Vectors:
        if not texts:
            return np.empty((0, DIM), dtype=np.float32)
        readable = [text[:_MAX_CHARS].encode("utf-8", "replace").decode() for text in texts]
        with self._lock:
            vectors = self._run(readable)
        if vectors.shape != (len(texts), DIM) or not np.isfinite(vectors).all():
            raise EmbeddingFailed(f"the model gave no vectors for some of {len(texts)} texts")
        return vectors

    def windows(self, texts: Sequence[str]) -> list[list[Span]]:
        return self._pieces.windows(texts)

    def _run(self, texts: list[str]) -> Vectors:
        try:
            vectors = self._model.encode(
                texts,
                batch_size=self._batch_size,
                show_progress_bar=False,
                convert_to_numpy=True,
                normalize_embeddings=True,
            )
        except (RuntimeError, ValueError) as error:  # torch's, out of GPU memory among them
            raise EmbeddingFailed(f"the model failed on {len(texts)} texts: {error}") from error
        return np.asarray(vectors, dtype=np.float32)


def gpu_device() -> str | None:
    """ "cuda", "mps", or None. Imports torch, which takes seconds: ask `may_have_gpu` first."""
    import torch

    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else None


def _load(files: ModelFiles, device: str):  # type: ignore[no-untyped-def]
    # The files are all here; nothing may be asked of the network, not even whether they are new.
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    from sentence_transformers import SentenceTransformer
    from transformers.utils import logging

    logging.disable_progress_bar()
    try:
        model = SentenceTransformer(str(files.folder), device=device, local_files_only=True)
    except Exception as error:  # whatever the libraries raise for a file that is not what it says
        raise ModelDamaged(f"{files.folder} cannot be loaded: {error}") from error
    model.max_seq_length = MAX_TOKENS
    return model
