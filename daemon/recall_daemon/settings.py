"""The hub's settings: command line, environment (`RECALLD_…`), YAML file, defaults."""

from __future__ import annotations

import os
import re
import sys
import zoneinfo
from collections.abc import Iterable
from pathlib import Path
from typing import ClassVar, Literal, Self

from pydantic import Field, SecretStr, field_validator, model_validator

from recall_daemon.agents.config import GLOBAL_CATEGORIES, AgentSetting, Strategy
from recall_daemon.pull.instances import InstanceSetting
from recall_wire.buckets.location import parse_url
from recall_wire.errors import SettingsInvalid, UnsafeKey
from recall_wire.layout import check_system_id
from recall_wire.settings import BucketSettings, load

ENV_PREFIX = "RECALLD_"
CONFIG_ENV = "RECALLD_CONFIG"

_HOST_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9.-]{0,251}[A-Za-z0-9])?")
_GIB = 1 << 30
_DAY_S = 86_400.0


def default_data_dir() -> Path:
    """Where the platform keeps a service's data."""
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Application Support" / "recalld"
    base = os.environ.get("XDG_DATA_HOME") or str(Path.home() / ".local" / "share")
    return Path(base) / "recalld"


class HubSettings(BucketSettings):
    """Every key is in `settings/recalld.yaml` with its default and one comment."""

    tolerated_env: ClassVar[frozenset[str]] = frozenset({CONFIG_ENV, "RECALLD_TEST_SOAK"})

    data_dir: Path = Field(default_factory=default_data_dir)

    poll_interval_s: float = Field(30.0, ge=1, allow_inf_nan=False)
    bare_interval_s: float = Field(300.0, ge=0, allow_inf_nan=False)
    reconcile_interval_s: float = Field(_DAY_S, ge=60, allow_inf_nan=False)
    gap_give_up_s: float = Field(7 * _DAY_S, ge=0, allow_inf_nan=False)
    incomplete_max_age_s: float = Field(_DAY_S, ge=0, allow_inf_nan=False)
    concurrency: int = Field(4, ge=1, le=64)

    max_snapshot_bytes: int = Field(4 * _GIB, ge=1)
    max_snapshot_rows: int = Field(5_000_000, ge=1)
    min_free_bytes: int = Field(_GIB // 2, ge=0)
    readers: int = Field(2, ge=1, le=16)
    reader_memory_bytes: int = Field(3 * _GIB, ge=_GIB)
    reader_timeout_s: float = Field(600.0, gt=0, allow_inf_nan=False)
    store_memory_bytes: int = Field(_GIB, ge=64 << 20)
    time_zone: str = "UTC"

    warm_after_s: float = Field(7 * _DAY_S, ge=0, allow_inf_nan=False)
    cold_after_s: float = Field(90 * _DAY_S, ge=0, allow_inf_nan=False)
    keep_importance: float = Field(0.8, ge=0, allow_inf_nan=False)
    age_interval_s: float = Field(3600.0, ge=60, allow_inf_nan=False)
    cold_bucket_url: str | None = None
    cold_cache_bytes: int = Field(_GIB // 4, ge=0)
    cold_fetch_timeout_s: float = Field(5.0, gt=0, allow_inf_nan=False)

    log_interval_s: float = Field(30.0, ge=1, le=60, allow_inf_nan=False)
    backup_interval_s: float = Field(_DAY_S, ge=0, allow_inf_nan=False)
    backup_keep_daily: int = Field(7, ge=0)
    backup_keep_weekly: int = Field(4, ge=0)
    expire_snapshots_after_s: float = Field(0.0, ge=0, allow_inf_nan=False)
    purge_interval_s: float = Field(_DAY_S, ge=0, le=3650 * _DAY_S, allow_inf_nan=False)

    pull_instances: list[InstanceSetting] = Field(default_factory=list)
    pull_token: SecretStr | None = None
    pull_interval_s: float = Field(0.0, ge=0, le=3650 * _DAY_S, allow_inf_nan=False)
    pull_limit: int = Field(100, ge=1, le=10_000)

    agents: list[AgentSetting] = Field(default_factory=list)
    agents_system: str = "agents"
    conflict_strategy: Strategy = "latest_wins"
    category_strategies: dict[str, Strategy] = Field(default_factory=dict)
    global_categories: list[str] = Field(default_factory=lambda: list(GLOBAL_CATEGORIES))
    system_edits: dict[str, list[str]] = Field(default_factory=dict)
    version_history_s: float = Field(30 * _DAY_S, ge=0, le=36500 * _DAY_S, allow_inf_nan=False)
    deleted_keep_s: float = Field(30 * _DAY_S, ge=0, le=36500 * _DAY_S, allow_inf_nan=False)

    embedder: Literal["auto", "minilm", "hash", "hash:2"] = "auto"
    model_dir: Path | None = None
    embed_threads: int | None = Field(None, ge=1)

    log_level: Literal["debug", "info", "warning", "error"] = "info"

    http_host: str = "127.0.0.1"
    http_port: int = Field(8682, ge=0, le=65535)
    http_names: list[str] = Field(default_factory=list)
    dashboard: bool = True
    tls_cert: Path | None = None
    tls_key: Path | None = None
    push_sources: dict[str, str] = Field(default_factory=dict)
    rate_per_minute: int = Field(60_000, ge=0, le=10**9)

    @field_validator("data_dir", mode="before")
    @classmethod
    def _of_the_platform(cls, value: object) -> object:
        return default_data_dir() if value is None else value

    @field_validator("data_dir", "model_dir", "tls_cert", "tls_key")
    @classmethod
    def _absolute(cls, value: Path | None) -> Path | None:
        return value.expanduser().absolute() if value else None

    @field_validator("pull_instances", mode="before")
    @classmethod
    def _addresses(cls, value: object) -> object:
        """An address alone is an instance."""
        if not isinstance(value, list):
            return value
        return [{"url": one} if isinstance(one, str) else one for one in value]

    @field_validator("cold_bucket_url")
    @classmethod
    def _bucket(cls, value: str | None) -> str | None:
        """Else it would be found out when the first row turns cold."""
        try:
            if value is not None:
                parse_url(value)
        except SettingsInvalid as error:
            raise ValueError(str(error)) from None
        return value

    @field_validator("push_sources")
    @classmethod
    def _systems(cls, value: dict[str, str]) -> dict[str, str]:
        _check_systems(value.values())
        return value

    @field_validator("agents_system")
    @classmethod
    def _system(cls, value: str) -> str:
        _check_systems([value])
        return value

    @field_validator("system_edits")
    @classmethod
    def _editors(cls, value: dict[str, list[str]]) -> dict[str, list[str]]:
        _check_systems([*value, *(edited for some in value.values() for edited in some)])
        return value

    @field_validator("agents")
    @classmethod
    def _each_once(cls, value: list[AgentSetting]) -> list[AgentSetting]:
        names = [agent.name for agent in value]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"the agent {name!r} is there more than once")
        return value

    @field_validator("http_names")
    @classmethod
    def _host_names(cls, values: list[str]) -> list[str]:
        for value in values:
            if not _HOST_NAME.fullmatch(value):
                raise ValueError(f"{value[:60]!r} is no host name: neither scheme nor port")
        return values

    @model_validator(mode="after")
    def _whole_tls(self) -> Self:
        if (self.tls_cert is None) != (self.tls_key is None):
            raise ValueError("tls_cert and tls_key go together, and only one of them is set")
        return self

    @field_validator("time_zone")
    @classmethod
    def _known_zone(cls, value: str) -> str:
        try:
            zoneinfo.ZoneInfo(value)
        except (ValueError, OSError, zoneinfo.ZoneInfoNotFoundError) as error:
            raise ValueError(f"{value[:60]!r} is no time zone") from error
        return value


def _check_systems(values: Iterable[str]) -> None:
    for system_id in values:
        try:
            check_system_id(system_id)
        except UnsafeKey as error:
            raise ValueError(str(error)) from None


def load_settings(config: Path | None = None) -> HubSettings:
    """The settings of this process. `config` defaults to the file that `RECALLD_CONFIG` names.

    Raises `SettingsInvalid`.
    """
    return load(HubSettings, env_prefix=ENV_PREFIX, yaml_file=settings_file(config))


def settings_file(config: Path | None = None) -> Path | None:
    """The file that they are read from, beside the environment; None: from none."""
    named = config or os.environ.get(CONFIG_ENV) or None
    return Path(named) if named else None
