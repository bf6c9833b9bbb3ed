"""The CPU path gives sentence-transformers' vectors, whatever the texts and their company."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from recall_daemon.embed.errors import EmbeddingFailed, ModelDamaged
from recall_daemon.embed.locate import ModelFiles, locate
from recall_daemon.embed.onnx_session import OnnxEmbedder


def test_a_text_has_one_vector_alone_and_in_company(onnx: OnnxEmbedder, texts: list[str]) -> None:
    together = onnx.encode(texts)
    alone = np.concatenate([onnx.encode([text]) for text in texts])
    assert np.abs(together - alone).max() < 1e-5


def test_vectors_have_length_one_and_the_promised_type(
    onnx: OnnxEmbedder, texts: list[str]
) -> None:
    vectors = onnx.encode(texts)
    assert vectors.dtype == np.float32
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1.0, atol=1e-5)


def test_no_texts_give_no_rows(onnx: OnnxEmbedder) -> None:
    assert onnx.encode([]).shape == (0, 384)


def test_four_threads_get_what_one_gets(onnx: OnnxEmbedder, texts: list[str]) -> None:
    expected = onnx.encode(texts)
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(onnx.encode, [texts] * 4))
    assert all(np.abs(answer - expected).max() < 1e-5 for answer in answers)


def test_meaning_decides(onnx: OnnxEmbedder) -> None:
    question, answer, other = onnx.encode(
        [
            "why did the backup fail?",
            "The nightly dump stopped because the disk was full.",
            "Our team lunch moved to Thursday.",
        ]
    )
    assert question @ answer > question @ other + 0.2


def test_five_megabytes_are_embedded_by_their_beginning(onnx: OnnxEmbedder) -> None:
    sentence = "The disk was full and the nightly backup failed. "
    huge, long = onnx.encode([sentence * 110_000, sentence * 40])
    assert huge @ long > 0.99999


def test_a_model_that_fails_says_so(model_copy: Path, onnx: OnnxEmbedder, data_dir: Path) -> None:
    tokenizer = json.loads((model_copy / "tokenizer.json").read_bytes())
    tokenizer["model"]["vocab"]["backup"] = 99_999  # past the last row of the embeddings
    (model_copy / "tokenizer.json").unlink()
    (model_copy / "tokenizer.json").write_text(json.dumps(tokenizer))
    (model,) = data_dir.rglob("model.onnx")
    broken = OnnxEmbedder(locate(model_copy), model)
    with pytest.raises(EmbeddingFailed, match="failed on 1 texts"):
        broken.encode(["backup"])
    assert broken.encode(["disk"]) @ onnx.encode(["disk"]).T > 0.9999


def test_a_file_that_is_no_model_is_refused(files: ModelFiles, tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(b"not a model")
    with pytest.raises(ModelDamaged, match="cannot be loaded"):
        OnnxEmbedder(files, tmp_path / "model.onnx")
