"""A bucket URL, taken apart."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

from recall_wire.buckets.keys import check_key
from recall_wire.errors import SettingsInvalid, UnsafeKey

# Wider than AWS's own rule: S3-like servers allow capitals and underscores.
_BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,254}")
_HINT = "write s3://bucket, s3://bucket/prefix or file:///folder"


@dataclass(frozen=True, slots=True)
class S3Location:
    """`prefix` is empty or ends in a slash."""

    bucket: str
    prefix: str = ""

    @property
    def url(self) -> str:
        return f"s3://{self.bucket}/{self.prefix}".rstrip("/")


@dataclass(frozen=True, slots=True)
class FolderLocation:
    root: Path


def parse_url(url: str) -> S3Location | FolderLocation:
    """Raises `SettingsInvalid`, without repeating credentials somebody wrote into the URL."""
    scheme, colon, rest = url.strip().partition("://")
    if "@" in rest.partition("/")[0]:
        raise SettingsInvalid(
            "the bucket URL holds a user name or credentials",
            hint="take them out: they belong into settings of their own",
        )
    if colon and scheme.lower() == "s3":
        return _parse_s3(url.strip(), rest)
    if colon and scheme.lower() == "file":
        return _parse_folder(url.strip())
    raise SettingsInvalid(f"{_shown(url)} is not a bucket URL", hint=_HINT)


def _parse_s3(url: str, rest: str) -> S3Location:
    bucket, _, prefix = rest.partition("/")
    prefix = prefix.rstrip("/")
    if not _BUCKET.fullmatch(bucket):
        raise SettingsInvalid(f"{_shown(url)} names no bucket", hint=_HINT)
    try:
        return S3Location(bucket, f"{check_key(prefix)}/" if prefix else "")
    except UnsafeKey as error:
        raise SettingsInvalid(f"{_shown(url)} has an unsafe prefix", hint=_HINT) from error


def _parse_folder(url: str) -> FolderLocation:
    parts = urlsplit(url)
    path = Path(unquote(parts.path))
    if parts.netloc not in ("", "localhost") or not path.is_absolute() or "\0" in str(path):
        raise SettingsInvalid(f"{_shown(url)} names no absolute folder", hint=_HINT)
    if parts.query or parts.fragment:
        raise SettingsInvalid(
            f"{_shown(url)} has a '?' or '#' in it", hint="write them as %3F and %23"
        )
    if path == Path("/") or ".." in path.parts:
        raise SettingsInvalid(
            f"{_shown(url)} is not a folder to keep a bucket in",
            hint="name one folder below the root, without '..'",
        )
    return FolderLocation(path)


def _shown(url: str) -> str:
    return ascii(url[:200])
