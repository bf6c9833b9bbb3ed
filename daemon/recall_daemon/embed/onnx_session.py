"""The CPU path: ONNX Runtime, fp32, any processor."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from recall_daemon.embed.base import Vectors
from recall_daemon.embed.errors import EmbeddingFailed, ModelDamaged
from recall_daemon.embed.locate import ModelFiles
from recall_daemon.embed.passages import Span
from recall_daemon.embed.tokens import Batch, Tokens, batches
from recall_daemon.embed.wordpieces import WordPieces


class OnnxEmbedder:
    """The exported model. Within 1e-5 of sentence-transformers, whatever shares the batch.

    Memory beyond the weights: activations of 1,024 tokens, 1,024 x 1,536 x 4 bytes = 6 MiB for
    the widest, a few of which are alive at once.
    """

    def __init__(self, files: ModelFiles, model: Path, *, threads: int | None = None) -> None:
        self.space = files.space
        self._tokens = Tokens(files.tokenizer)
        self._pieces = WordPieces(files.tokenizer)
        self._session = _open(model, threads or os.cpu_count() or 1)

    def encode(self, texts: Sequence[str]) -> Vectors:
        vectors = np.empty((len(texts), self.space.dim), dtype=np.float32)
        for batch in batches(self._tokens.ids(texts)) if texts else ():
            vectors[batch.rows] = self._run(batch)
        return vectors

    def windows(self, texts: Sequence[str]) -> list[list[Span]]:
        return self._pieces.windows(texts)

    def _run(self, batch: Batch) -> Vectors:
        inputs = {"input_ids": batch.input_ids, "attention_mask": batch.attention_mask}
        try:
            vectors: Vectors = self._session.run(None, inputs)[0]
        except Exception as error:  # the runtime's errors share no other base
            raise EmbeddingFailed(
                f"the model failed on {len(batch.rows)} texts: {error}"
            ) from error
        if not np.isfinite(vectors).all():
            raise EmbeddingFailed(f"the model gave no numbers for some of {len(batch.rows)} texts")
        return vectors


def _open(model: Path, threads: int):  # type: ignore[no-untyped-def]
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    # Batches come in many shapes: a plan kept for each would grow, and the arena must not double.
    options.enable_mem_pattern = False
    provider = ("CPUExecutionProvider", {"arena_extend_strategy": "kSameAsRequested"})
    try:
        return onnxruntime.InferenceSession(str(model), options, providers=[provider])
    except Exception as error:  # the runtime's errors share no other base
        raise ModelDamaged(f"{model} cannot be loaded: {error}") from error
