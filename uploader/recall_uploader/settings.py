"""An instance's settings: command line, then RECALL_… variables, then the YAML file."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, SecretStr, field_validator, model_validator

from recall_uploader import session_buddy_settings
from recall_uploader.redact.settings import RedactRule, compiled
from recall_uploader.sources.settings import SourceSettings
from recall_wire.buckets.base import PART_BYTES
from recall_wire.buckets.options import S3Options, check_endpoint
from recall_wire.errors import SettingsInvalid, UnsafeKey
from recall_wire.layout import check_system_id
from recall_wire.manifest import SNAPSHOT_MAX_ROWS, EmbeddingSpace
from recall_wire.settings import BucketSettings, load

ENV_PREFIX = "RECALL_"
CONFIG_VARIABLE = "RECALL_CONFIG"
_PART_MAX_BYTES = 5 << 30


class UploaderSettings(BucketSettings):
    """Every key, its meaning and its default stand in settings/recall.yaml, too."""

    tolerated_env: ClassVar[frozenset[str]] = frozenset({CONFIG_VARIABLE})
    env_aliases: ClassVar[Mapping[str, str]] = {session_buddy_settings.URL_VARIABLE: "hub_url"}

    system_id: str | None = None
    machine_id: Annotated[str, Field(min_length=1)] | None = None
    state_dir: Path | None = None
    source: Path | None = None
    sources: tuple[SourceSettings, ...] | None = None
    hub_url: str | None = None
    hub_token: SecretStr | None = None
    force_method: Literal["auto", "cloud", "http"] = "auto"
    enable_fallback: bool = True
    upload_on_session_end: bool = True
    upload_timeout_s: Annotated[float, Field(ge=1, le=86_400, allow_inf_nan=False)] = 300.0
    deletes: Literal["keep", "propagate"] = "keep"
    time_zone: str = "UTC"
    embedding_model: str | None = None
    embedding_revision: str | None = None
    embedding_dim: Annotated[int, Field(ge=1, le=8192)] | None = None
    embedding_normalized: bool = True
    snapshot_max_rows: Annotated[int, Field(ge=1, le=SNAPSHOT_MAX_ROWS)] = SNAPSHOT_MAX_ROWS
    part_bytes: Annotated[int, Field(ge=PART_BYTES, le=_PART_MAX_BYTES)] = PART_BYTES
    parts_in_flight: Annotated[int, Field(ge=1, le=32)] = 4
    max_retries: Annotated[int, Field(ge=0, le=20)] = 4
    retry_backoff_s: Annotated[float, Field(ge=0, le=60, allow_inf_nan=False)] = 0.5
    outbox_max_bytes: Annotated[int, Field(ge=1 << 20)] = 8 << 30
    outbox_max_age_days: Annotated[float, Field(gt=0, le=36_500, allow_inf_nan=False)] = 90.0
    lock_wait_s: Annotated[float, Field(ge=0, le=3600)] = 10.0
    redact: bool = True
    redact_rules: tuple[RedactRule, ...] = ()
    redact_allow: tuple[str, ...] = ()
    watch_debounce_s: Annotated[float, Field(ge=0.1, le=3600, allow_inf_nan=False)] = 5.0
    watch_sweep_s: Annotated[float, Field(ge=1, le=86_400, allow_inf_nan=False)] = 300.0

    @classmethod
    def from_file(cls, values: dict[str, Any]) -> dict[str, Any]:
        """A Session-Buddy settings file is taken as it is."""
        if session_buddy_settings.is_session_buddy(values):
            return session_buddy_settings.translate(values, cls.model_fields)
        return values

    @field_validator("system_id")
    @classmethod
    def _safe(cls, system_id: str | None) -> str | None:
        try:
            return None if system_id is None else check_system_id(system_id)
        except UnsafeKey as error:
            raise ValueError(str(error)) from None

    @field_validator("hub_url")
    @classmethod
    def _address(cls, hub_url: str | None) -> str | None:
        """Other programs name the hub's MCP address; the API lies beside it."""
        if hub_url is None:
            return None
        if not hub_url.isprintable():
            raise ValueError("hub_url is not the address of a server")
        try:
            check_endpoint(hub_url, "hub_url")
        except SettingsInvalid as error:
            raise ValueError(str(error)) from None
        return hub_url.rstrip("/").removesuffix("/mcp")

    @field_validator("hub_token")
    @classmethod
    def _sendable(cls, token: SecretStr | None) -> SecretStr | None:
        """What can stand in a header; a line's end behind it is none of it."""
        if token is None:
            return None
        value = token.get_secret_value().strip()
        if not value or not (value.isascii() and value.isprintable()) or " " in value:
            raise ValueError("it is no token: one word of printable ASCII")
        return SecretStr(value)

    @field_validator("redact_allow")
    @classmethod
    def _patterns(cls, patterns: tuple[str, ...]) -> tuple[str, ...]:
        for number, pattern in enumerate(patterns, 1):
            try:
                compiled(pattern)
            except ValueError as error:
                raise ValueError(f"number {number} of it: {error}") from None
        return patterns

    @model_validator(mode="after")
    def _has_hub(self) -> Self:
        if self.force_method == "http" and self.hub_url is None:
            raise ValueError("force_method is http and no hub_url is set")
        return self

    @model_validator(mode="after")
    def _one_space(self) -> Self:
        given = [self.embedding_model, self.embedding_revision, self.embedding_dim]
        if any(given) and not all(given):
            raise ValueError(
                "embedding_model, embedding_revision and embedding_dim belong together: set all "
                "three, or none to leave a source's vectors out"
            )
        return self

    def s3_options(self) -> S3Options:
        """One call that is never answered must leave time for others within the run's own."""
        options = super().s3_options()
        longest_s = min(options.read_timeout_s, max(1.0, self.upload_timeout_s / 4))
        return replace(options, read_timeout_s=longest_s)

    @property
    def embedding(self) -> EmbeddingSpace | None:
        """The space of the vectors that come with a source; None: they are not sent."""
        if not (self.embedding_model and self.embedding_revision and self.embedding_dim):
            return None
        return EmbeddingSpace(
            model=self.embedding_model,
            revision=self.embedding_revision,
            dim=self.embedding_dim,
            normalized=self.embedding_normalized,
        )

    @property
    def state_folder(self) -> Path:
        return (self.state_dir or default_state_folder()).expanduser()


def load_settings(
    config: Path | None = None, overrides: Mapping[str, object] | None = None
) -> UploaderSettings:
    """Raises `SettingsInvalid`, one sentence that names the setting and where it came from."""
    return load(
        UploaderSettings,
        env_prefix=ENV_PREFIX,
        yaml_file=config or _config_file(),
        overrides=overrides,
    )


def default_state_folder() -> Path:
    if data := os.environ.get("XDG_DATA_HOME"):
        return Path(data) / "recall"
    if platform.system() == "Darwin":
        return Path.home() / "Library/Application Support/recall"
    return Path.home() / ".local/share/recall"


def config_path() -> Path:
    """The file RECALL_CONFIG names, else the one in the user's configuration; it may be missing."""
    if named := os.environ.get(CONFIG_VARIABLE):
        return Path(named)
    folder = Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config")
    return folder / "recall/recall.yaml"


def _config_file() -> Path | None:
    """A file that was named must be there; the usual one is read where there is."""
    path = config_path()
    return path if os.environ.get(CONFIG_VARIABLE) or path.is_file() else None
