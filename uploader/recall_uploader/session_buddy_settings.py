"""A Session-Buddy settings file, taken as it is: its keys for this job in our names."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

PREFIX = "akosha_"
URL_VARIABLE = "AKOSHA_URL"
_MIB = 1 << 20


def is_session_buddy(values: Mapping[str, Any]) -> bool:
    return any(str(name).startswith(PREFIX) for name in values)


def translate(values: Mapping[str, Any], own_names: Mapping[str, object]) -> dict[str, Any]:
    """The settings in a Session-Buddy file that concern `recall`, named as ours.

    A key of ours in the same file goes before; all its other keys are Session-Buddy's business.
    An empty text or null means: not set.
    """
    translated = {
        _NAMES[name][0]: _NAMES[name][1](value)
        for name, value in values.items()
        if name in _NAMES and value not in (None, "")
    }
    return translated | {name: value for name, value in values.items() if name in own_names}


def _bucket(value: object) -> object:
    return value if not isinstance(value, str) or "://" in value else f"s3://{value}"


def _mebibytes(value: object) -> object:
    """Its chunks are in MB; parts are counted in MiB, since 5,000,000 bytes are refused."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return value
    return int(value * _MIB)


def _as_is(value: object) -> object:
    return value


_NAMES: dict[str, tuple[str, Callable[[object], object]]] = {
    "akosha_cloud_bucket": ("bucket_url", _bucket),
    "akosha_cloud_endpoint": ("s3_endpoint_url", _as_is),
    "akosha_cloud_region": ("s3_region", _as_is),
    "akosha_system_id": ("system_id", _as_is),
    "akosha_upload_on_session_end": ("upload_on_session_end", _as_is),
    "akosha_enable_fallback": ("enable_fallback", _as_is),
    "akosha_force_method": ("force_method", _as_is),
    "akosha_upload_timeout_seconds": ("upload_timeout_s", _as_is),
    "akosha_max_retries": ("max_retries", _as_is),
    "akosha_retry_backoff_seconds": ("retry_backoff_s", _as_is),
    "akosha_chunk_size_mb": ("part_bytes", _mebibytes),
}
