"""How both programs read their settings: command line, environment, YAML file, defaults."""

from __future__ import annotations

import difflib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Self, TypeVar

import yaml
from pydantic import SecretStr, ValidationError, model_validator
from pydantic_settings import (
    BaseSettings,
    EnvSettingsSource,
    InitSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)
from pydantic_settings.exceptions import SettingsError

from recall_wire.buckets.options import S3Options
from recall_wire.errors import SettingsInvalid

_Settings = TypeVar("_Settings", bound="ProgramSettings")
_TWICE = "a name is there twice"


class ProgramSettings(BaseSettings):
    """Base of a program's settings. Made by `load`; made directly, it reads nothing from outside.

    `tolerated_env`: variables with the program's prefix that are no settings. `env_aliases`:
    variables of other programs, each with the setting it stands for; our own go before.
    """

    model_config = SettingsConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    tolerated_env: ClassVar[frozenset[str]] = frozenset()
    env_aliases: ClassVar[Mapping[str, str]] = {}

    @classmethod
    def from_file(cls, values: dict[str, Any]) -> dict[str, Any]:
        """What a settings file says, in this program's names. Here: as it is."""
        return values

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """`load` reads the sources itself: it must know which one a wrong value came from."""
        return (init_settings,)


class BucketSettings(ProgramSettings):
    """Which bucket, and how to reach it. Without keys, credentials come by the AWS chain."""

    bucket_url: str | None = None
    s3_endpoint_url: str | None = None
    s3_region: str | None = None
    s3_access_key_id: SecretStr | None = None
    s3_secret_access_key: SecretStr | None = None

    @model_validator(mode="after")
    def _reachable(self) -> Self:
        try:
            self.s3_options()
        except SettingsInvalid as error:
            raise ValueError(str(error)) from None
        return self

    def s3_options(self) -> S3Options:
        return S3Options(
            endpoint_url=self.s3_endpoint_url,
            region=self.s3_region,
            access_key_id=_secret(self.s3_access_key_id),
            secret_access_key=_secret(self.s3_secret_access_key),
        )


def _secret(value: SecretStr | None) -> str | None:
    return None if value is None else value.get_secret_value()


def load(
    cls: type[_Settings],
    *,
    env_prefix: str,
    yaml_file: Path | None = None,
    overrides: Mapping[str, object] | None = None,
) -> _Settings:
    """Settings from `overrides` (the command line; None means: not given), else from environment
    variables (empty ones count as unset), else from the YAML file, else from the defaults.

    Raises `SettingsInvalid`, one sentence that names the setting and where it came from, for an
    unknown name or a wrong value. The value itself is never repeated.
    """
    return load_with_origins(cls, env_prefix=env_prefix, yaml_file=yaml_file, overrides=overrides)[
        0
    ]


def load_with_origins(
    cls: type[_Settings],
    *,
    env_prefix: str,
    yaml_file: Path | None = None,
    overrides: Mapping[str, object] | None = None,
) -> tuple[_Settings, dict[str, str]]:
    """As `load`, with where each setting that is not the default came from: `in FILE`, `in
    VARIABLE`, `on the command line`."""
    values: dict[str, Any] = {}
    origins: dict[str, str] = {}
    for source in (
        _from_yaml(cls, yaml_file),
        _from_environment(cls, env_prefix),
        _from_overrides(cls, overrides or {}),
    ):
        values |= source.values
        origins |= source.origins
    try:
        return cls(**values), origins
    except ValidationError as error:
        raise _wrong_value(cls, error, origins) from error


@dataclass(frozen=True, slots=True)
class _Source:
    values: Mapping[str, Any]
    origins: Mapping[str, str]


def _from_overrides(cls: type[BaseSettings], overrides: Mapping[str, object]) -> _Source:
    given = {name: value for name, value in overrides.items() if value is not None}
    for name in given:
        _check_name(cls, name, "on the command line")
    values = InitSettingsSource(cls, init_kwargs=dict(given))()
    return _Source(values, dict.fromkeys(values, "on the command line"))


def _from_environment(cls: type[ProgramSettings], prefix: str) -> _Source:
    for variable, value in os.environ.items():
        if value and variable.upper().startswith(prefix) and variable not in cls.tolerated_env:
            _check_variable(cls, variable, prefix)
    try:
        values = EnvSettingsSource(cls, env_prefix=prefix, env_ignore_empty=True)()
    except SettingsError as error:
        # Its message names the field; the chained error, which we drop, quotes the value.
        raise _malformed(cls, error, prefix) from None
    aliases = {
        name: variable
        for variable, name in cls.env_aliases.items()
        if os.environ.get(variable) and name not in values
    }
    origins = {name: f"in {prefix}{name.upper()}" for name in values}
    origins |= {name: f"in {variable}" for name, variable in aliases.items()}
    others = {name: os.environ[variable] for name, variable in aliases.items()}
    return _Source({**values, **others}, origins)


def _check_variable(cls: type[BaseSettings], variable: str, prefix: str) -> None:
    name = variable[len(prefix) :].lower()
    if name not in cls.model_fields:
        guess = _guess(cls, name)
        raise SettingsInvalid(
            f"the environment variable {variable} names no setting",
            hint=f"did you mean {prefix}{guess.upper()}?" if guess else "unset it",
        )


def _malformed(cls: type[BaseSettings], error: SettingsError, prefix: str) -> SettingsInvalid:
    name = next((name for name in cls.model_fields if f'"{name}"' in str(error)), "")
    return SettingsInvalid(f"{prefix}{name.upper()} is not valid JSON", hint="write it as JSON")


def _from_yaml(cls: type[ProgramSettings], path: Path | None) -> _Source:
    if path is None:
        return _Source({}, {})
    values = cls.from_file(read_yaml(path))
    for name in values:
        _check_name(cls, name, f"in {path}")
    return _Source(values, dict.fromkeys(values, f"in {path}"))


def read_yaml(path: Path) -> dict[str, Any]:
    """A YAML file's mapping, empty for an empty file. Raises `SettingsInvalid`."""
    try:
        content = yaml.load(path.read_text(encoding="utf-8"), Loader=_UniqueKeyLoader)
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise SettingsInvalid(f"the settings file {path} cannot be read: {reason}") from error
    except UnicodeDecodeError as error:
        raise SettingsInvalid(f"the settings file {path} is not UTF-8 text") from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        # Only the place: the parser's own words can quote a secret.
        raise SettingsInvalid(
            f"the settings file {path} is not valid YAML{_place(error)}"
        ) from None
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise SettingsInvalid(
            f"the settings file {path} holds no settings", hint="write one 'name: value' a line"
        )
    return content


class _UniqueKeyLoader(yaml.SafeLoader):
    """YAML takes the last of two equal names in silence; here it is a mistake."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        names = [key for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
        seen: set[str] = set()
        for name in names:
            if name.value in seen:
                raise yaml.constructor.ConstructorError(None, None, _TWICE, name.start_mark)
            seen.add(name.value)
        return super().construct_mapping(node, deep)


def _place(error: Exception) -> str:
    mark = getattr(error, "problem_mark", None)
    twice = f": {_TWICE}" if getattr(error, "problem", "") == _TWICE else ""
    return f" at line {mark.line + 1}, column {mark.column + 1}{twice}" if mark else ""


def _check_name(cls: type[BaseSettings], name: object, where: str) -> None:
    if name not in cls.model_fields:
        guess = _guess(cls, str(name))
        raise SettingsInvalid(
            f"{str(name)[:80]!r} {where} names no setting",
            hint=f"did you mean {guess}?" if guess else "take it out",
        )


def _guess(cls: type[BaseSettings], name: str) -> str:
    close = difflib.get_close_matches(name.lower(), cls.model_fields, n=1)
    return close[0] if close else ""


def _wrong_value(
    cls: type[BaseSettings], error: ValidationError, origins: Mapping[str, str]
) -> SettingsInvalid:
    first = error.errors(include_url=False, include_input=False, include_context=False)[0]
    path = [str(part) for part in first["loc"]]
    reason = first["msg"].removeprefix("Value error, ")
    if not path:
        return SettingsInvalid(reason)
    where = origins.get(path[0], "by default")
    return SettingsInvalid(f"the setting {'.'.join(path)}, set {where}, is wrong: {reason}")
