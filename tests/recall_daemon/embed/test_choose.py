"""Which embedder a machine gets, and that getting it is cheap."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Literal

import pytest

from recall_daemon.embed import choose
from recall_daemon.embed.amx_session import has_amx
from recall_daemon.embed.choose import may_have_gpu, open_embedder
from recall_daemon.embed.errors import ModelMissing
from recall_daemon.embed.hashing import HashEmbedder
from recall_daemon.embed.locate import ModelFiles


def test_hash_needs_no_model(tmp_path: Path) -> None:
    embedder = open_embedder("hash", data_dir=tmp_path, model_dir=tmp_path / "absent")
    assert isinstance(embedder, HashEmbedder)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("choice", ["auto", "minilm"])
def test_without_a_model_both_say_so(tmp_path: Path, choice: Literal["auto", "minilm"]) -> None:
    with pytest.raises(ModelMissing):
        open_embedder(choice, data_dir=tmp_path, model_dir=tmp_path / "absent")


def test_without_its_library_the_model_is_missing(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(choose, "may_have_gpu", lambda: False)
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(ModelMissing, match=r"onnxruntime is not installed; pip install"):
        open_embedder("minilm", data_dir=data_dir)


def test_auto_gives_the_model(
    data_dir: Path, files: ModelFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(choose, "may_have_gpu", lambda: False)
    embedder = open_embedder("auto", data_dir=data_dir, threads=1)
    assert embedder.space == files.space
    assert embedder.encode(["one", "two"]).shape == (2, 384)


def test_a_query_imports_no_torch_once_the_export_is_there(data_dir: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from recall_daemon.embed import choose\n"
        "choose.may_have_gpu = lambda: False\n"
        "embedder = choose.open_embedder('auto', data_dir=Path(sys.argv[1]))\n"
        "assert embedder.encode(['why did it fail?']).shape == (1, 384)\n"
        "heavy = {'torch', 'transformers', 'sentence_transformers', 'onnx'} & set(sys.modules)\n"
        "print(sorted(heavy))"
    )
    command = [sys.executable, "-c", program, str(data_dir)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=100)
    assert (done.stdout.strip(), done.stderr) == ("[]", "")


def test_a_device_file_is_what_makes_torch_be_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "platform", "linux")
    device = tmp_path / "nvidia0"
    monkeypatch.setattr(choose, "_GPU_DEVICES", (str(device),))
    assert not may_have_gpu()
    device.touch()
    assert may_have_gpu()


def test_only_a_processor_with_bfloat16_tiles_has_amx(tmp_path: Path) -> None:
    for name, flags in (("old", "avx2 avx512_bf16 amx_tile"), ("new", "avx2 amx_tile amx_bf16")):
        (tmp_path / name).write_text(f"processor : 0\nflags : {flags}\n")
    assert not has_amx(tmp_path / "old")
    assert has_amx(tmp_path / "new")
    assert not has_amx(tmp_path / "absent")
