"""The real model: found once, exported once."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from recall_daemon.embed.export import exported_model
from recall_daemon.embed.locate import ModelFiles, locate
from recall_daemon.embed.onnx_session import OnnxEmbedder

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


PROSE = "The write-ahead log was moved to another volume. Grüße aus Köln!\nNaïve façade… "
LONG = {
    "words": "word " * 900,
    "prose": PROSE * 60,
    "chinese": "数据库在夜间备份时磁盘已满。" * 90,
    "hangul": "한국어 텍스트 조각을 나눕니다. " * 90,
    "decomposed": "cafe\u0301 nai\u0308ve fac\u0327ade. " * 90,
    "code": "def add(a: int, b: int) -> int:\n    return a + b\n\n" * 60,
    "nul and surrogates": "nul \0 here, \ud800 there; " * 90,
    "one word": "x" * 70_000 + " and a tail",
    "emoji": "🎉 shipped 🚀🚀 " * 120,
}


@pytest.fixture(scope="session")
def files() -> ModelFiles:
    return locate()


@pytest.fixture(scope="session")
def data_dir(tmp_path_factory: pytest.TempPathFactory, files: ModelFiles) -> Path:
    """A data folder that holds the export already, one for all of pytest's workers."""
    own = tmp_path_factory.getbasetemp()
    folder = (own.parent if "PYTEST_XDIST_WORKER" in os.environ else own) / "exported"
    folder.mkdir(exist_ok=True)
    exported_model(files, folder)
    return folder


@pytest.fixture(scope="session")
def onnx(files: ModelFiles, data_dir: Path) -> OnnxEmbedder:
    return OnnxEmbedder(files, exported_model(files, data_dir))


@pytest.fixture
def texts() -> list[str]:
    """Short and long by turns, in several scripts, with what a file can hold by accident."""
    return list(MIXED)


@pytest.fixture
def long_texts() -> dict[str, str]:
    """Texts of several windows, by what is hard about them."""
    return dict(LONG)


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
