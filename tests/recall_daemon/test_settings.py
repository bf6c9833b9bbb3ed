"""The shipped settings file names every key, with its default."""

from __future__ import annotations

from pathlib import Path

import pytest

from recall_daemon.settings import HubSettings, load_settings
from recall_wire.errors import SettingsInvalid
from recall_wire.settings import read_yaml

SHIPPED = Path(__file__).parents[2] / "settings" / "recalld.yaml"
# A default that the platform decides is shipped as null, with a comment that says so.
OF_THE_PLATFORM = {"data_dir"}


def test_every_key_is_shipped_with_its_default() -> None:
    shipped = read_yaml(SHIPPED)
    defaults = HubSettings().model_dump()

    assert shipped.keys() == HubSettings.model_fields.keys()
    assert {k: v for k, v in shipped.items() if k not in OF_THE_PLATFORM} == {
        k: v for k, v in defaults.items() if k not in OF_THE_PLATFORM
    }
    assert all(shipped[key] is None for key in OF_THE_PLATFORM)


def test_the_shipped_file_can_be_used_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RECALLD_CONFIG", str(SHIPPED))
    assert load_settings().data_dir == HubSettings().data_dir


def test_the_shipped_example_of_four_agents_can_be_used_as_it_is() -> None:
    settings = load_settings(SHIPPED.parent / "agents-example.yaml")
    agents = {
        agent.name: (agent.priority, agent.retention_days, agent.conflict_strategy)
        for agent in settings.agents
    }
    assert agents == {
        "primary_assistant": ("high", 90, "latest_wins"),
        "analyst": ("medium", 60, "highest_importance"),
        "security_monitor": ("medium", 180, "manual_review"),
        "personas": ("low", 30, "agent_priority"),
    }
    assert all(agent.specialities for agent in settings.agents)
    assert all(a.restricted_categories for a in settings.agents if a.name != "primary_assistant")


def test_every_key_has_one_comment() -> None:
    lines = [line for line in SHIPPED.read_text().splitlines() if line and line[0] != "#"]
    uncommented = [line.split(":")[0] for line in lines if "#" not in line]
    assert uncommented == []


@pytest.mark.parametrize(
    ("variable", "value", "words"),
    [
        ("RECALLD_TIME_ZONE", "Mars/Olympus", "no time zone"),
        ("RECALLD_EMBEDDER", "gpt", "embedder"),
        ("RECALLD_HTTP_PORT", "70000", "http_port"),
        ("RECALLD_POLL_INTERVAL_S", "0", "poll_interval_s"),
        ("RECALLD_POLL_INTERVAL_S", "inf", "poll_interval_s"),
        ("RECALLD_S3_ACCESS_KEY_ID", "only-one", "only one of"),
        ("RECALLD_COLD_BUCKET_URL", "ftp://x", "cold_bucket_url, .* 'ftp://x' is not a bucket URL"),
    ],
)
def test_a_wrong_value_is_one_sentence(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str, words: str
) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(SettingsInvalid, match=words):
        load_settings()
