"""From options to the arguments of an S3 client, the same for boto3 and aioboto3."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from botocore.config import Config

from recall_wire.buckets.options import S3Options, check_endpoint

_R2 = ".r2.cloudflarestorage.com"


def session_arguments(options: S3Options) -> dict[str, Any]:
    return {
        "aws_access_key_id": options.access_key_id or None,
        "aws_secret_access_key": options.secret_access_key or None,
    }


def client_arguments(options: S3Options, *, chain_region: str | None) -> dict[str, Any]:
    """`chain_region` is what the AWS chain (environment, profile) says. Raises `SettingsInvalid`
    for an endpoint of the AWS chain that is no address.
    """
    endpoint = _endpoint(options)
    return {
        "service_name": "s3",
        "endpoint_url": endpoint or None,
        "region_name": options.region or _region(endpoint, chain_region),
        "config": Config(
            signature_version="s3v4",
            connect_timeout=options.connect_timeout_s,
            read_timeout=options.read_timeout_s,
            max_pool_connections=options.connections,
            retries={"mode": "standard", "total_max_attempts": options.attempts},
            s3={
                # Name-based addressing needs wildcard DNS, which few S3-like servers have.
                "addressing_style": "path" if endpoint else "auto",
                # TLS protects the bytes already; without TLS only the signature does.
                "payload_signing_enabled": endpoint.startswith("http://"),
            },
            # botocore adds CRC trailers by default since 1.36, which S3-like servers refuse.
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
        ),
    }


def part_arguments(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """The same for a client that sends parts: their bytes are left out of the signature.

    Hashing them for it costs 0.6 CPU seconds a GiB, and every reader compares the whole object
    with the sha256 in its manifest, which is signed in full.
    """
    s3 = arguments["config"].s3 | {"payload_signing_enabled": False}
    return {**arguments, "config": arguments["config"].merge(Config(s3=s3))}


def _endpoint(options: S3Options) -> str:
    """Empty for AWS itself."""
    if options.endpoint_url:
        return options.endpoint_url
    chain = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL") or ""
    if chain:
        check_endpoint(chain, "AWS_ENDPOINT_URL")
    return chain


def _region(endpoint: str, chain_region: str | None) -> str | None:
    """R2 knows `auto` alone, whatever the AWS chain says; other servers take AWS's default."""
    host = urlsplit(endpoint).hostname or ""
    if host.endswith(_R2):
        return "auto"
    return chain_region or ("us-east-1" if host else None)
