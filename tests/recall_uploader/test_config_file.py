"""A few keys change; everything else stays as somebody wrote it."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest
import yaml

from recall_uploader.config_file import change
from recall_uploader.settings import load_settings
from recall_wire.errors import SettingsInvalid

WRITTEN = """\
# mine

bucket_url: s3://old  # the old one
sources:
  - path: ~/notes   # all of them
    type: markdown
  # and this
  - path: ~/b

# why: the laptop
system_id: "laptop"
max_retries: 2
"""


def test_a_new_file_is_private_and_loads(tmp_path: Path) -> None:
    path = tmp_path / "a/b/recall.yaml"
    values = {"bucket_url": "s3://x", "sources": [{"path": "/n ö", "type": "markdown"}]}
    assert change(path, values) == {"bucket_url": None, "sources": None}
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert yaml.safe_load(path.read_text()) == values
    assert load_settings(path).bucket_url == "s3://x"
    assert [item.name for item in path.parent.iterdir()] == ["recall.yaml"]


def test_comments_and_other_keys_stay(tmp_path: Path) -> None:
    path = tmp_path / "recall.yaml"
    path.write_text(WRITTEN)
    values = {"bucket_url": "s3://new", "sources": [], "hub_url": "http://127.0.0.1:8682"}

    before = change(path, values)

    assert before["bucket_url"] == "s3://old"
    text = path.read_text()
    assert text.startswith("# mine\n\nbucket_url: s3://new  # the old one\nsources: []\n")
    assert '\n# why: the laptop\nsystem_id: "laptop"\nmax_retries: 2\n' in text
    assert yaml.safe_load(text) == {"system_id": "laptop", "max_retries": 2, **values}


def test_twice_is_once(tmp_path: Path) -> None:
    path = tmp_path / "recall.yaml"
    path.write_text(WRITTEN)
    assert change(path, {"system_id": "laptop"}) == {}
    assert path.read_text() == WRITTEN
    change(path, {"system_id": "other"})
    once = path.read_text()
    assert change(path, {"system_id": "other"}) == {}
    assert path.read_text() == once


def test_a_link_stays_one(tmp_path: Path) -> None:
    target, link = tmp_path / "dotfiles.yaml", tmp_path / "recall.yaml"
    target.write_text("system_id: a\n")
    link.symlink_to(target)
    change(link, {"system_id": "b"})
    assert link.is_symlink()
    assert target.read_text() == "system_id: b\n"


@pytest.mark.parametrize(
    "text", ["", "\n\n", "# only a comment", "---\nsystem_id: a", "system_id: a"]
)
def test_files_of_every_length(text: str, tmp_path: Path) -> None:
    path = tmp_path / "recall.yaml"
    path.write_text(text)
    change(path, {"bucket_url": "s3://x", "system_id": "b"})
    assert yaml.safe_load(path.read_text()) == {"bucket_url": "s3://x", "system_id": "b"}


@pytest.mark.parametrize(
    "text",
    [
        "{system_id: a}",
        "- a\n",
        "a: b: c",
        "x: 1\nx: 2\n",
        "system_id: a\n...\n",
        "\t",
        "a: &x [*x]",
    ],
)
def test_what_cannot_be_changed_safely_is_left(text: str, tmp_path: Path) -> None:
    path = tmp_path / "recall.yaml"
    path.write_text(text)
    with pytest.raises(SettingsInvalid, match=r"recall\.yaml"):
        change(path, {"bucket_url": "s3://x", "hub_url": "http://h"})
    assert path.read_text() == text
    assert [item.name for item in tmp_path.iterdir()] == ["recall.yaml"]
