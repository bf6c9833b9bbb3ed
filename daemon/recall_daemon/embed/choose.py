"""Which embedder this machine gets."""

from __future__ import annotations

import platform
import sys
from pathlib import Path
from typing import Literal

from recall_daemon.embed.base import Embedder
from recall_daemon.embed.errors import ModelMissing
from recall_daemon.embed.hashing import HashEmbedder
from recall_daemon.embed.locate import ModelFiles, locate

# `hash:2` is another revision of `hash`: another space, to try a change of models without one.
Choice = Literal["auto", "minilm", "hash", "hash:2"]

# NVIDIA's and AMD's drivers make these. A container without them has no GPU either.
_GPU_DEVICES = ("/dev/nvidiactl", "/dev/nvidia0", "/dev/dxg", "/dev/kfd")


def open_embedder(
    choice: Choice, *, data_dir: Path, model_dir: Path | None = None, threads: int | None = None
) -> Embedder:
    """The embedder of that name; `auto` and `minilm` are all-MiniLM-L6-v2.

    On a GPU where there is one, else on ONNX Runtime; the first time on a machine the model is
    exported into `data_dir`, which takes some seconds. `threads` (default: all cores) is for CPUs.
    Raises `ModelMissing` or `ModelDamaged`; with `auto` the caller goes on without vectors.
    """
    if choice in ("hash", "hash:2"):
        return HashEmbedder(choice.removeprefix("hash").removeprefix(":") or "1")
    files = locate(model_dir)
    try:
        return _on_gpu(files) or _on_cpu(files, data_dir, threads)
    except ImportError as error:
        raise ModelMissing(
            f"the library {error.name} is not installed", hint="pip install 'recalld[daemon]'"
        ) from error


def may_have_gpu() -> bool:
    """Whether importing torch to ask is worth its seconds: a device file, or Apple's own chip."""
    if sys.platform == "darwin":
        return platform.machine() == "arm64"
    return any(Path(device).exists() for device in _GPU_DEVICES)


def _on_gpu(files: ModelFiles) -> Embedder | None:
    if not may_have_gpu():
        return None
    from recall_daemon.embed.torch_model import TorchEmbedder, gpu_device

    device = gpu_device()
    return TorchEmbedder(files, device=device) if device else None


def _on_cpu(files: ModelFiles, data_dir: Path, threads: int | None) -> Embedder:
    from recall_daemon.embed.amx_session import AmxEmbedder, has_amx
    from recall_daemon.embed.bulk import BulkEmbedder
    from recall_daemon.embed.export import exported_model
    from recall_daemon.embed.onnx_session import OnnxEmbedder

    onnx = OnnxEmbedder(files, exported_model(files, data_dir), threads=threads)
    if not has_amx():
        return onnx
    return BulkEmbedder(onnx, lambda: AmxEmbedder(files, threads=threads))
