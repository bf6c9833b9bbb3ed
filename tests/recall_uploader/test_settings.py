"""The shipped settings file is the class, key for key."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from recall_uploader.settings import UploaderSettings, default_state_folder, load_settings
from recall_wire.errors import SettingsInvalid

SHIPPED = Path(__file__).parents[2] / "settings/recall.yaml"


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in UploaderSettings.model_fields:
        monkeypatch.delenv(f"RECALL_{name.upper()}", raising=False)
    monkeypatch.delenv("RECALL_CONFIG", raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))


def test_the_shipped_file_has_every_key_with_its_default() -> None:
    assert yaml.safe_load(SHIPPED.read_text()) == UploaderSettings().model_dump(mode="json")


def test_the_shipped_file_explains_every_key() -> None:
    lines = SHIPPED.read_text().splitlines()
    keys = [number for number, line in enumerate(lines) if line and not line.startswith("#")]
    assert all(lines[number - 1].startswith("#") for number in keys)


def test_the_shipped_file_loads() -> None:
    assert load_settings(SHIPPED) == UploaderSettings()


@pytest.mark.parametrize("token", ["two words", "sch\u00f6n", "a\nb", " ", "x\x7f"])
def test_a_token_that_no_header_can_hold_is_refused_unsaid(
    token: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RECALL_HUB_TOKEN", token)
    with pytest.raises(SettingsInvalid, match="hub_token") as caught:
        load_settings()
    assert token not in str(caught.value) or not token.strip()


def test_a_line_end_behind_a_token_is_none_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RECALL_HUB_TOKEN", "t0ken\n")
    token = load_settings().hub_token
    assert token is not None
    assert token.get_secret_value() == "t0ken"


def test_environment_goes_before_the_file_and_the_command_line_before_both(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "recall/recall.yaml"
    file.parent.mkdir()
    file.write_text("system_id: from-file\ntime_zone: Europe/Berlin\ndeletes: propagate\n")
    monkeypatch.setenv("RECALL_SYSTEM_ID", "from-env")
    monkeypatch.setenv("RECALL_TIME_ZONE", "Asia/Tokyo")

    settings = load_settings(overrides={"time_zone": "UTC"})

    assert (settings.system_id, settings.time_zone, settings.deletes) == (
        "from-env",
        "UTC",
        "propagate",
    )


@pytest.mark.parametrize("pattern", ["[sk-live", "a{99999999999999}", "(" * 5000 + ")" * 5000])
def test_an_allowed_pattern_that_is_none_is_refused_and_not_repeated(pattern: str) -> None:
    with pytest.raises(
        SettingsInvalid, match=r"redact_allow.*number 2 of it.*no Python"
    ) as refused:
        load_settings(overrides={"redact_allow": ("fine", pattern)})
    assert pattern not in str(refused.value)


@pytest.mark.parametrize(
    "line",
    [
        "bucket_ulr: s3://x",
        "system_id: ../../heads",
        "system_id: with space",
        "system_id: ''",
        "snapshot_max_rows: 50001",
        "part_bytes: 5000000",
        "deletes: sometimes",
        "embedding_model: all-MiniLM-L6-v2",
    ],
)
def test_a_wrong_setting_is_one_sentence(line: str, tmp_path: Path) -> None:
    file = tmp_path / "recall.yaml"
    file.write_text(line + "\n")

    with pytest.raises(SettingsInvalid) as raised:
        load_settings(file)
    assert "\n" not in str(raised.value)


def test_secrets_are_not_shown() -> None:
    settings = UploaderSettings(
        hub_token="hush",  # type: ignore[arg-type]
        s3_access_key_id="k",  # type: ignore[arg-type]
        s3_secret_access_key="hush",  # type: ignore[arg-type]
    )
    assert "hush" not in repr(settings) + str(settings.model_dump(mode="json"))


def test_the_state_folder_follows_the_platform(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/u")
    monkeypatch.delenv("XDG_DATA_HOME", raising=False)
    monkeypatch.setattr("platform.system", lambda: "Linux")
    assert default_state_folder() == Path("/home/u/.local/share/recall")
    monkeypatch.setattr("platform.system", lambda: "Darwin")
    assert default_state_folder() == Path("/home/u/Library/Application Support/recall")
    monkeypatch.setenv("XDG_DATA_HOME", "/data")
    assert default_state_folder() == Path("/data/recall")
