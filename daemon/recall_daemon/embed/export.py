"""Writes the ONNX model into the data folder: once, checked against the reference, crash-safe."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from recall_daemon.embed.errors import ModelDamaged, ModelMissing
from recall_daemon.embed.locate import TOKENIZER, ModelFiles, sha256_of
from recall_daemon.embed.onnx_session import OnnxEmbedder
from recall_daemon.embed.reference import CHECK_TEXTS, lowest_cosine
from recall_daemon.embed.torch_model import TorchEmbedder

# Part of the record: a newer graph replaces an older export.
GRAPH_VERSION = 1
MIN_COSINE = 0.999
MODEL_NAME = "model.onnx"
RECORD_NAME = "model.json"


def exported_model(files: ModelFiles, data_dir: Path) -> Path:
    """The path of the ONNX model of these weights, made if it is absent or damaged.

    Idempotent, and safe from several processes at once. The record is written after the model:
    a crash in between leaves a model without a record, which is made again. Raises
    `ModelDamaged` where the export disagrees with sentence-transformers; nothing is kept then.
    """
    folder = _folder(data_dir, files.space.revision)
    folder.mkdir(parents=True, exist_ok=True)
    with _locked(folder):
        if not _is_whole(folder, files):
            _export(files, folder)
    return folder / MODEL_NAME


def kept_model(data_dir: Path, revision: str) -> tuple[ModelFiles, Path]:
    """What was exported of weights that may be gone: the tokenizer's folder, and the ONNX model.

    Raises `ModelMissing` where that export is not there, or not whole.
    """
    folder = _folder(data_dir, revision)
    try:
        recorded = json.loads((folder / RECORD_NAME).read_bytes())
        files = ModelFiles(folder, str(recorded["weights_sha256"]))
        whole = bool(recorded == _record(files, sha256_of(folder / MODEL_NAME)))
    except (OSError, ValueError, KeyError, TypeError):
        whole = False
    if not whole:
        raise ModelMissing(f"{folder} holds no whole export of the model")
    return files, folder / MODEL_NAME


def drop_export(data_dir: Path, revision: str) -> None:
    """Remove what was exported of these weights. Idempotent."""
    shutil.rmtree(_folder(data_dir, revision), ignore_errors=True)


def _folder(data_dir: Path, revision: str) -> Path:
    return data_dir / "models" / f"all-MiniLM-L6-v2-{revision}"


def _is_whole(folder: Path, files: ModelFiles) -> bool:
    try:
        recorded = json.loads((folder / RECORD_NAME).read_bytes())
        kept = ModelFiles(folder, files.weights_sha256)
        return bool(recorded == _record(kept, sha256_of(folder / MODEL_NAME)))
    except (OSError, ValueError):
        return False


def _record(files: ModelFiles, onnx_sha256: str) -> dict[str, object]:
    return {
        "graph_version": GRAPH_VERSION,
        "onnx_sha256": onnx_sha256,
        "tokenizer_sha256": sha256_of(files.tokenizer),
        "weights_sha256": files.weights_sha256,
    }


def _export(files: ModelFiles, folder: Path) -> None:
    from recall_daemon.embed.graph import build

    data = build(files).SerializeToString()
    (folder / RECORD_NAME).unlink(missing_ok=True)
    aside = _write_aside(folder / MODEL_NAME, data)
    try:
        _check(files, aside)
    except BaseException:
        aside.unlink()
        raise
    _put_in_place(aside, folder / MODEL_NAME)
    # With its tokenizer the export stands alone: it serves on when the weights have been replaced.
    _put_in_place(
        _write_aside(folder / TOKENIZER, files.tokenizer.read_bytes()), folder / TOKENIZER
    )
    record = json.dumps(_record(files, hashlib.sha256(data).hexdigest()), sort_keys=True)
    _put_in_place(_write_aside(folder / RECORD_NAME, record.encode() + b"\n"), folder / RECORD_NAME)


def _check(files: ModelFiles, model: Path) -> None:
    lowest = lowest_cosine(OnnxEmbedder(files, model), TorchEmbedder(files, device="cpu"))
    if not lowest >= MIN_COSINE:  # NaN fails too
        raise ModelDamaged(
            f"the ONNX export of {files.weights} disagrees with sentence-transformers "
            f"(cosine {lowest:.4f} on one of {len(CHECK_TEXTS)} texts)",
            hint="the weights may be damaged; fetch the model again",
        )


def _write_aside(path: Path, data: bytes) -> Path:
    # One name, under the lock: what a crash left is overwritten, never collected.
    aside = path.with_name(path.name + ".partial")
    with aside.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    return aside


def _put_in_place(aside: Path, path: Path) -> None:
    aside.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    with (folder / "lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)  # released with the file, also by a crash
        yield
