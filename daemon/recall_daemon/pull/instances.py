"""Which instances there are, the system each one writes, and the token it wants."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, field_validator

from recall_daemon.pull.errors import InstanceRefused, PullInvalid
from recall_wire.errors import UnsafeKey
from recall_wire.layout import check_system_id

if TYPE_CHECKING:
    from recall_daemon.settings import HubSettings

DEFAULT_URL = "http://localhost:8678"

_PORTS = {"http": 80, "https": 443}
_SLUG_MAX_CHARS = 80
_ENV_PREFIX = "RECALLD_"


@dataclass(frozen=True)
class Instance:
    """One to ask. `url` is as `normal_url` has it; `system_id` None: by the name it tells."""

    url: str
    system_id: str | None = None
    token: str | None = field(default=None, repr=False)


class InstanceSetting(BaseModel):
    """One line of the setting `pull_instances`."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    url: str
    system: str | None = None
    token_env: str | None = None
    token_over_http: bool = False

    @field_validator("url")
    @classmethod
    def _address(cls, value: str) -> str:
        try:
            return normal_url(value)
        except PullInvalid as error:
            raise ValueError(str(error)) from None

    @field_validator("system")
    @classmethod
    def _system(cls, value: str | None) -> str | None:
        try:
            return None if value is None else check_system_id(value)
        except UnsafeKey:
            raise ValueError("that is no system's id") from None

    @field_validator("token_env")
    @classmethod
    def _variable(cls, value: str | None) -> str | None:
        if value is not None and value.startswith(_ENV_PREFIX):
            raise ValueError(f"names that begin with {_ENV_PREFIX} are settings: take another")
        return value


class Instances:
    """The configured ones. `token` is for those of them that name none of their own.

    An instance that is not configured gets no token: whoever may ask for a pull chooses its
    address.
    """

    def __init__(
        self,
        configured: Sequence[InstanceSetting],
        token: str | None,
        *,
        environment: Mapping[str, str] = os.environ,
    ) -> None:
        self._configured = {one.url: one for one in configured}
        self._token = token
        self._environment = environment

    @classmethod
    def of(cls, settings: HubSettings) -> Instances:
        token = settings.pull_token
        return cls(settings.pull_instances, token.get_secret_value() if token else None)

    @property
    def urls(self) -> list[str]:
        """Whom a pull asks that names none."""
        return list(self._configured) or [DEFAULT_URL]

    @property
    def any(self) -> bool:
        """True where one is configured."""
        return bool(self._configured)

    def find(self, url: str) -> Instance:
        """The instance at a normal URL. Raises `InstanceRefused` where its token must not go."""
        setting = self._configured.get(url)
        if setting is None:
            return Instance(url)
        return Instance(url, setting.system, self._token_of(setting))

    def _token_of(self, setting: InstanceSetting) -> str | None:
        if setting.token_env is None:
            token = self._token
        else:
            token = self._environment.get(setting.token_env, "").strip()
            if not token:
                raise InstanceRefused(
                    f"the environment variable {setting.token_env} holds no token",
                    hint="set it where the hub runs, or take token_env out",
                )
        if token is not None and not (is_private(setting.url) or setting.token_over_http):
            raise InstanceRefused(
                "its token would cross the network in the clear, so it was not asked",
                hint="use https, or set token_over_http for it",
            )
        return token


def normal_url(url: str) -> str:
    """An instance's address without a trailing `/` or `/mcp`. Raises `PullInvalid`."""
    try:
        parts = urlsplit(url.strip())
        host, port = parts.hostname, parts.port
    except ValueError:
        raise PullInvalid(f"{url[:80]!r} is not an address") from None
    if parts.scheme not in _PORTS or not host or re.search(r"[\s\x00-\x1f\x7f]", url.strip()):
        raise PullInvalid(f"{url[:80]!r} is not an address", hint="http://host:port or https://…")
    if parts.username is not None or parts.password is not None:
        raise PullInvalid("an address holds no password", hint="set token_env in pull_instances")
    if parts.query or parts.fragment:
        raise PullInvalid(f"{url[:80]!r} has more than an address", hint="leave out ? and #")
    path = parts.path.rstrip("/").removesuffix("/mcp").rstrip("/")
    name = f"[{host}]" if ":" in host else host
    place = name if port in (None, _PORTS[parts.scheme]) else f"{name}:{port}"
    return f"{parts.scheme}://{place}{path}"


def is_private(url: str) -> bool:
    """True where nobody on the way can read along: TLS, or this machine."""
    parts = urlsplit(url)
    return parts.scheme == "https" or _is_loopback(parts.hostname or "")


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def system_of(url: str, name: str | None) -> str:
    """The system of an instance that no setting maps: what it calls itself, else its address.

    A hash of the address ends it, so that no instance can take another's place by its name.
    """
    slug = _slug(name or "") or _slug(url.partition("://")[2])
    return f"{slug}-{hashlib.sha256(url.encode()).hexdigest()[:8]}"


def _slug(text: str) -> str:
    plain = re.sub(r"[^A-Za-z0-9._-]+", "-", text[: 4 * _SLUG_MAX_CHARS])
    return plain[:_SLUG_MAX_CHARS].strip("-._")
