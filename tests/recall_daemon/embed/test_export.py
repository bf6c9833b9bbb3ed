"""The export is made once, checked, and never half there."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from recall_daemon.embed import export
from recall_daemon.embed.errors import ModelDamaged, ModelMissing
from recall_daemon.embed.export import drop_export, exported_model, kept_model
from recall_daemon.embed.locate import TOKENIZER, WEIGHTS, ModelFiles, locate, sha256_of
from recall_daemon.embed.onnx_session import OnnxEmbedder


@pytest.fixture
def unchecked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave out the comparison with the reference, which takes seconds."""
    monkeypatch.setattr(export, "_check", lambda files, model: None)


def _identity(path: Path) -> tuple[int, int]:
    return path.stat().st_ino, path.stat().st_mtime_ns


def test_a_whole_export_is_not_made_again(files: ModelFiles, data_dir: Path) -> None:
    model = exported_model(files, data_dir)
    before = _identity(model)
    assert _identity(exported_model(files, data_dir)) == before


@pytest.mark.parametrize("name", [export.MODEL_NAME, export.RECORD_NAME, TOKENIZER])
@pytest.mark.usefixtures("unchecked")
def test_a_damaged_export_is_made_again(files: ModelFiles, tmp_path: Path, name: str) -> None:
    model = exported_model(files, tmp_path)
    whole = sha256_of(model)
    damaged = model.with_name(name)
    damaged.write_bytes(damaged.read_bytes()[:-7])
    assert sha256_of(exported_model(files, tmp_path)) == whole
    assert sha256_of(damaged) != sha256_of(model.with_name("lock"))
    before = _identity(model)
    assert _identity(exported_model(files, tmp_path)) == before


@pytest.mark.parametrize("failing_call", [1, 2, 3])
@pytest.mark.usefixtures("unchecked")
def test_a_crash_before_a_rename_leaves_nothing_that_is_trusted(
    files: ModelFiles, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failing_call: int
) -> None:
    calls = 0
    put_in_place = export._put_in_place

    def crash(aside: Path, path: Path) -> None:
        nonlocal calls
        calls += 1
        if calls == failing_call:
            raise KeyboardInterrupt
        put_in_place(aside, path)

    with monkeypatch.context() as patch:
        patch.setattr(export, "_put_in_place", crash)
        with pytest.raises(KeyboardInterrupt):
            exported_model(files, tmp_path)
    (folder,) = (tmp_path / "models").iterdir()
    assert not (folder / export.RECORD_NAME).exists()
    model = exported_model(files, tmp_path)
    assert {path.name for path in folder.iterdir()} == {
        *("lock", "model.json", "model.onnx", "tokenizer.json")
    }
    assert OnnxEmbedder(files, model).encode(["works"]).shape == (1, 384)


@pytest.mark.usefixtures("unchecked")
def test_an_export_serves_on_without_its_weights(
    files: ModelFiles, model_copy: Path, tmp_path: Path, onnx: OnnxEmbedder
) -> None:
    model = exported_model(locate(model_copy), tmp_path)
    shutil.rmtree(model_copy)
    revision = files.space.revision
    kept, path = kept_model(tmp_path, revision)

    assert (kept.space, path) == (files.space, model)
    again = OnnxEmbedder(kept, path).encode(["a text"])
    assert (again == onnx.encode(["a text"])).all()

    (model.parent / TOKENIZER).write_bytes(b"{}")
    with pytest.raises(ModelMissing, match="no whole export"):
        kept_model(tmp_path, revision)
    drop_export(tmp_path, revision)
    assert not model.parent.exists()
    with pytest.raises(ModelMissing):
        kept_model(tmp_path, revision)


def test_an_export_that_disagrees_with_the_reference_is_refused(
    files: ModelFiles, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(export, "TorchEmbedder", lambda files, device: None)
    monkeypatch.setattr(export, "lowest_cosine", lambda one, other: 0.9989)
    with pytest.raises(ModelDamaged, match=r"cosine 0\.9989"):
        exported_model(files, tmp_path)
    (folder,) = (tmp_path / "models").iterdir()
    assert [path.name for path in folder.iterdir()] == ["lock"]


def test_truncated_weights_are_refused(model_copy: Path, files: ModelFiles, tmp_path: Path) -> None:
    with files.weights.open("rb") as file:
        head = file.read(1_000_000)
    (model_copy / WEIGHTS).unlink()
    (model_copy / WEIGHTS).write_bytes(head)
    with pytest.raises(ModelDamaged, match="cannot be read"):
        exported_model(locate(model_copy), tmp_path)


def test_weights_of_another_model_are_refused(model_copy: Path, tmp_path: Path) -> None:
    import numpy as np
    from safetensors.numpy import save_file

    (model_copy / WEIGHTS).unlink()
    save_file({"w": np.zeros(3, np.float32)}, model_copy / WEIGHTS)
    with pytest.raises(ModelDamaged, match="does not hold the model"):
        exported_model(locate(model_copy), tmp_path)
