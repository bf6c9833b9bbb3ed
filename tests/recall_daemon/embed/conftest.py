"""The real model: found once, exported once, and its reference."""

from __future__ import annotations

from pathlib import Path

import pytest

from recall_daemon.embed.export import exported_model
from recall_daemon.embed.locate import ModelFiles, locate
from recall_daemon.embed.onnx_session import OnnxEmbedder
from recall_daemon.embed.torch_model import TorchEmbedder

MIXED = [
    "short",
    "",
    "The write-ahead log was moved to another volume after the disk filled up. " * 30,
    "数据库在夜间备份时磁盘已满",
    "🎉 shipped 🚀",
    "nul \0 and escape \x1b and a lone surrogate \ud800",
    "Grüße aus Köln",
    *(f"note {number}: " + "the deploy waited for a lock " * (number % 9) for number in range(60)),
]


@pytest.fixture(scope="session")
def files() -> ModelFiles:
    return locate()


@pytest.fixture(scope="session")
def data_dir(tmp_path_factory: pytest.TempPathFactory, files: ModelFiles) -> Path:
    """A data folder that holds the export already."""
    folder = tmp_path_factory.mktemp("hub")
    exported_model(files, folder)
    return folder


@pytest.fixture(scope="session")
def onnx(files: ModelFiles, data_dir: Path) -> OnnxEmbedder:
    return OnnxEmbedder(files, exported_model(files, data_dir))


@pytest.fixture(scope="session")
def reference(files: ModelFiles) -> TorchEmbedder:
    return TorchEmbedder(files, device="cpu")


@pytest.fixture
def texts() -> list[str]:
    """Short and long by turns, in several scripts, with what a file can hold by accident."""
    return list(MIXED)


@pytest.fixture
def model_copy(tmp_path: Path, files: ModelFiles) -> Path:
    """A folder of links to the model's files; a test replaces the one it damages."""
    copy = tmp_path / "model"
    for source in files.folder.rglob("*"):
        target = copy / source.relative_to(files.folder)
        if source.is_file():
            target.parent.mkdir(parents=True, exist_ok=True)
            target.symlink_to(source)
    return copy
