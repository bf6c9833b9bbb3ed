"""A Session-Buddy settings file means what it says."""

from __future__ import annotations

from pathlib import Path

import pytest

from recall_uploader.settings import UploaderSettings, load_settings
from recall_wire.errors import SettingsInvalid

FILE = """\
# Session-Buddy
server_name: session-buddy
database_path: ~/.claude/data/reflection.duckdb
enable_semantic_search: true
akosha_cloud_bucket: session-buddy-memories
akosha_cloud_endpoint: https://account.r2.example.com
akosha_cloud_region: auto
akosha_system_id: laptop-7
akosha_upload_on_session_end: false
akosha_enable_fallback: false
akosha_force_method: cloud
akosha_upload_timeout_seconds: 120
akosha_max_retries: 3
akosha_retry_backoff_seconds: 2.0
akosha_chunk_size_mb: 8
akosha_something_new: 1
"""


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in UploaderSettings.model_fields:
        monkeypatch.delenv(f"RECALL_{name.upper()}", raising=False)
    monkeypatch.delenv("RECALL_CONFIG", raising=False)
    monkeypatch.delenv("AKOSHA_URL", raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))


def load(tmp_path: Path, text: str) -> UploaderSettings:
    file = tmp_path / "session-buddy.yaml"
    file.write_text(text)
    return load_settings(file)


def test_every_key_means_what_it_says(tmp_path: Path) -> None:
    assert load(tmp_path, FILE) == UploaderSettings(
        bucket_url="s3://session-buddy-memories",
        s3_endpoint_url="https://account.r2.example.com",
        s3_region="auto",
        system_id="laptop-7",
        upload_on_session_end=False,
        enable_fallback=False,
        force_method="cloud",
        upload_timeout_s=120,
        max_retries=3,
        retry_backoff_s=2,
        part_bytes=8 << 20,
    )


def test_empty_values_are_not_set(tmp_path: Path) -> None:
    text = "akosha_cloud_bucket: ''\nakosha_system_id: null\nakosha_cloud_endpoint:\n"
    assert load(tmp_path, text) == UploaderSettings()


def test_a_chunk_of_5_mb_is_the_smallest_part_there_is(tmp_path: Path) -> None:
    assert load(tmp_path, "akosha_chunk_size_mb: 5\n").part_bytes == 5_242_880


def test_our_own_names_in_the_same_file_go_before(tmp_path: Path) -> None:
    text = "akosha_cloud_bucket: theirs\nbucket_url: s3://ours\n"
    assert load(tmp_path, text).bucket_url == "s3://ours"


@pytest.mark.parametrize(
    ("line", "setting"),
    [
        ("akosha_chunk_size_mb: 1", "part_bytes"),
        ("akosha_chunk_size_mb: many", "part_bytes"),
        ("akosha_force_method: carrier-pigeon", "force_method"),
        ("akosha_upload_timeout_seconds: -1", "upload_timeout_s"),
        ("akosha_system_id: my laptop", "system_id"),
        ("akosha_cloud_endpoint: nowhere", "s3_endpoint_url"),
    ],
)
def test_a_wrong_value_is_one_sentence(tmp_path: Path, line: str, setting: str) -> None:
    with pytest.raises(SettingsInvalid, match=setting):
        load(tmp_path, line)


def test_the_hubs_address_from_its_variable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AKOSHA_URL", "http://127.0.0.1:8682/mcp")
    assert load(tmp_path, FILE).hub_url == "http://127.0.0.1:8682"
    monkeypatch.setenv("RECALL_HUB_URL", "http://127.0.0.1:9000/")
    assert load(tmp_path, FILE).hub_url == "http://127.0.0.1:9000"


def test_a_wrong_address_names_the_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AKOSHA_URL", "http://user:hunter2@127.0.0.1")
    with pytest.raises(SettingsInvalid, match="in AKOSHA_URL") as caught:
        load_settings()
    assert "hunter2" not in str(caught.value)


def test_a_file_without_any_of_its_keys_is_ours_and_strict(tmp_path: Path) -> None:
    with pytest.raises(SettingsInvalid, match="names no setting"):
        load(tmp_path, "database_path: x\n")
