"""From options to the arguments of an S3 client, the same for boto3 and aioboto3."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from botocore.config import Config

from recall_wire.buckets.options import S3Options

_R2 = ".r2.cloudflarestorage.com"


def session_arguments(options: S3Options) -> dict[str, Any]:
    return {
        "aws_access_key_id": options.access_key_id or None,
        "aws_secret_access_key": options.secret_access_key or None,
    }


def client_arguments(options: S3Options, *, chain_region: str | None) -> dict[str, Any]:
    """`chain_region` is what the AWS chain (environment, profile) says."""
    return {
        "service_name": "s3",
        "endpoint_url": options.endpoint_url,
        "region_name": _region(options, chain_region),
        "config": Config(
            signature_version="s3v4",
            connect_timeout=options.connect_timeout_s,
            read_timeout=options.read_timeout_s,
            max_pool_connections=options.connections,
            retries={"mode": "standard", "total_max_attempts": options.attempts},
            # Name-based addressing needs wildcard DNS, which few S3-like servers have.
            s3={"addressing_style": "path" if options.endpoint_url else "auto"},
            # botocore adds CRC trailers by default since 1.36, which S3-like servers refuse.
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
        ),
    }


def _region(options: S3Options, chain_region: str | None) -> str | None:
    """R2 knows `auto` alone, whatever the AWS chain says; other servers take AWS's default."""
    if options.region:
        return options.region
    host = urlsplit(options.endpoint_url or "").hostname or ""
    if host.endswith(_R2):
        return "auto"
    return chain_region or ("us-east-1" if host else None)
