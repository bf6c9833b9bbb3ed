"""Every way of embedding gives sentence-transformers' vectors.

In one file, for the reference takes seconds to load.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from structlog.testing import capture_logs

from recall_daemon.embed.amx_session import AmxEmbedder, has_amx
from recall_daemon.embed.base import Embedder, Vectors
from recall_daemon.embed.bulk import BulkEmbedder
from recall_daemon.embed.locate import MAX_TOKENS, ModelFiles
from recall_daemon.embed.onnx_session import OnnxEmbedder
from recall_daemon.embed.reference import CHECK_TEXTS
from recall_daemon.embed.torch_model import TorchEmbedder
from recall_daemon.embed.wordpieces import WordPieces


@pytest.fixture(scope="module")
def reference(files: ModelFiles) -> TorchEmbedder:
    return TorchEmbedder(files, device="cpu")


def _cosines(one: Vectors, other: Vectors) -> Vectors:
    cosines: Vectors = np.sum(one * other, axis=1)
    return cosines


def test_one_text_after_the_other(
    onnx: OnnxEmbedder, reference: TorchEmbedder, texts: list[str]
) -> None:
    every = [*texts, *CHECK_TEXTS]
    assert _cosines(onnx.encode(every), reference.encode(every)).min() >= 0.9999


def test_in_bulk_with_tiles_and_without(
    files: ModelFiles,
    onnx: OnnxEmbedder,
    reference: TorchEmbedder,
    texts: list[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("recall_daemon.embed.bulk.OPEN_AFTER_TEXTS", len(texts))
    open_amx: Callable[[], Embedder] = lambda: AmxEmbedder(files)  # noqa: E731
    with capture_logs() as logs:
        vectors = BulkEmbedder(onnx, open_amx).encode(texts)
    assert _cosines(vectors, reference.encode(texts)).min() >= 0.9999
    assert not (logs and has_amx())


def test_windows_of_long_texts(
    files: ModelFiles, onnx: OnnxEmbedder, reference: TorchEmbedder, long_texts: dict[str, str]
) -> None:
    pieces = WordPieces(files.tokenizer)
    for name, text in long_texts.items():
        (spans,) = pieces.windows([text])
        assert len(spans) > 1, name
        passages = [text[span.start : span.end] for span in spans]
        assert _cosines(onnx.encode(passages), reference.encode(passages)).min() >= 0.999, name
        # Nothing of a window is cut off: the reference would read no more if it could.
        readable = [passage.encode("utf-8", "replace").decode() for passage in passages]
        lengths = [len(row) for row in pieces._tokenizer.encode_batch(readable)]
        assert max(lengths) <= MAX_TOKENS, name
