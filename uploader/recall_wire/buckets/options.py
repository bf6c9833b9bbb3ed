"""How to reach an S3 endpoint."""

from __future__ import annotations

from dataclasses import dataclass, field
from urllib.parse import urlsplit

from recall_wire.errors import SettingsInvalid


@dataclass(frozen=True, slots=True)
class S3Options:
    """Without keys, credentials come by the standard AWS chain; temporary ones always do.

    `attempts` counts tries inside one call, the first included: one, since every caller tries
    again by itself, with backoff. Raises `SettingsInvalid`.
    """

    endpoint_url: str | None = None
    region: str | None = None
    access_key_id: str | None = field(default=None, repr=False)
    secret_access_key: str | None = field(default=None, repr=False)
    connect_timeout_s: float = 5.0
    read_timeout_s: float = 20.0
    attempts: int = 1
    connections: int = 16

    def __post_init__(self) -> None:
        if bool(self.access_key_id) != bool(self.secret_access_key):
            raise SettingsInvalid(
                "only one of s3_access_key_id and s3_secret_access_key is set",
                hint="set both, or neither to use the AWS credential chain",
            )
        if self.endpoint_url is not None:
            check_endpoint(self.endpoint_url, "s3_endpoint_url")

    @property
    def longest_call_s(self) -> float:
        """All tries of one small request together, with a second of backoff between them."""
        return self.attempts * (self.connect_timeout_s + self.read_timeout_s + 1.0)


def check_endpoint(endpoint_url: str, setting: str) -> None:
    """Raises `SettingsInvalid` in the name of `setting`."""
    try:
        parts = urlsplit(endpoint_url)
        valid = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        valid = False
    # The URL itself is not repeated: it may hold a password.
    if not valid or "@" in parts.netloc or parts.query or parts.fragment:
        raise SettingsInvalid(
            f"{setting} is not the address of a server",
            hint="write https://host or https://host:port, without credentials",
        )
