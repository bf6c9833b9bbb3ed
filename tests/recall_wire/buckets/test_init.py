"""From a URL and options to a bucket, or to one sentence."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from recall_wire.buckets import S3Options, open_async_bucket, open_bucket
from recall_wire.buckets.folder import FolderBucket
from recall_wire.buckets.location import FolderLocation, S3Location, parse_url
from recall_wire.buckets.s3_session import client_arguments
from recall_wire.errors import SettingsInvalid

GOOD = [
    ("s3://memories", S3Location("memories")),
    ("s3://memories/", S3Location("memories")),
    ("s3://memories/team/a", S3Location("memories", "team/a/")),
    ("S3://My_Bucket.1/x/", S3Location("My_Bucket.1", "x/")),
    (" s3://memories \n", S3Location("memories")),
    ("file:///srv/memories", FolderLocation(Path("/srv/memories"))),
    ("file://localhost/srv/memories/", FolderLocation(Path("/srv/memories"))),
    ("file:///srv/a%20b%3F%23", FolderLocation(Path("/srv/a b?#"))),
]
BAD = [
    "",
    "memories",
    "/srv/memories",
    "s3:/memories",
    "s3://",
    "s3:///prefix",
    "s3://a",
    "s3://bad bucket",
    "s3://memories/../other",
    "s3://memories/a//b",
    "s3://memories/a\nb",
    "gs://memories",
    "https://memories.s3.amazonaws.com",
    "file://memories",
    "file://server/share",
    "file:memories",
    "file:///",
    "file:///srv/../etc",
    "file:///srv/a?b",
    "file:///srv/a#b",
    "file:///srv/a%00b",
]


@pytest.mark.parametrize(("url", "expected"), GOOD)
def test_a_url_is_taken_apart(url: str, expected: object) -> None:
    assert parse_url(url) == expected


@pytest.mark.parametrize("url", BAD)
def test_anything_else_is_one_sentence(url: str) -> None:
    for opened in (open_bucket, open_async_bucket):
        with pytest.raises(SettingsInvalid) as caught:
            opened(url)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("url", ["s3://AKID:s3cr3t@memories", "file://me:s3cr3t@host/x"])
def test_credentials_in_a_url_are_refused_and_not_repeated(url: str) -> None:
    with pytest.raises(SettingsInvalid) as caught:
        open_bucket(url)
    assert "s3cr3t" not in str(caught.value)
    assert "AKID" not in str(caught.value)


def test_a_folders_url_leads_back_to_it(tmp_path: Path) -> None:
    odd = tmp_path / "a b%?#ü"
    odd.mkdir()
    bucket = open_bucket(odd.as_uri())
    assert isinstance(bucket, FolderBucket)
    bucket.put("a", b"x")
    assert (odd / "a").read_bytes() == b"x"
    assert open_bucket(bucket.url).get("a", max_bytes=1) == b"x"


def test_opening_contacts_nobody() -> None:
    nowhere = S3Options("http://127.0.0.1:9", None, "key", "s3cr3t")
    assert open_bucket("s3://memories/x", nowhere).url == "s3://memories/x"
    assert "s3cr3t" not in repr(open_bucket("s3://memories", nowhere))
    assert "file:///not/there" in repr(open_bucket("file:///not/there"))


# Options


def test_options_show_no_secret() -> None:
    options = S3Options("https://host", None, "AKID", "s3cr3t")
    for text in (repr(options), str(options), f"{options}"):
        assert "s3cr3t" not in text
        assert "AKID" not in text


@pytest.mark.parametrize(
    "wrong",
    [
        {"access_key_id": "AKID"},
        {"secret_access_key": "s3cr3t"},
        {"endpoint_url": ""},
        {"endpoint_url": "host:9000"},
        {"endpoint_url": "ftp://host"},
        {"endpoint_url": "https://"},
        {"endpoint_url": "https://host:port"},
        {"endpoint_url": "https://me:s3cr3t@host"},
        {"endpoint_url": "https://[::1"},
    ],
)
def test_options_that_cannot_work_are_refused(wrong: dict[str, str]) -> None:
    with pytest.raises(SettingsInvalid) as caught:
        S3Options(**wrong)  # type: ignore[arg-type]
    assert "s3cr3t" not in str(caught.value)


REGIONS = [
    (S3Options(region="eu-west-3"), "us-west-2", "eu-west-3"),
    (S3Options(), "us-west-2", "us-west-2"),
    (S3Options(), None, None),
    (S3Options("https://minio:9000"), None, "us-east-1"),
    (S3Options("https://minio:9000"), "us-west-2", "us-west-2"),
    (S3Options("https://abc.r2.cloudflarestorage.com"), None, "auto"),
    (S3Options("https://abc.eu.r2.cloudflarestorage.com"), "us-west-2", "auto"),
    (S3Options("https://abc.r2.cloudflarestorage.com", "weur"), None, "weur"),
]


@pytest.mark.parametrize(("options", "chain_region", "expected"), REGIONS)
def test_the_region(options: S3Options, chain_region: str | None, expected: str | None) -> None:
    assert client_arguments(options, chain_region=chain_region)["region_name"] == expected


def test_no_checksum_trailers_that_s3_like_servers_refuse() -> None:
    config: Any = client_arguments(S3Options("https://minio"), chain_region=None)["config"]
    assert config.request_checksum_calculation == "when_required"
    assert config.response_checksum_validation == "when_required"


@pytest.mark.parametrize(
    ("endpoint", "style", "signed"),
    [(None, "auto", False), ("https://minio", "path", False), ("http://minio:9000", "path", True)],
)
def test_without_tls_the_signature_covers_the_bytes(
    monkeypatch: pytest.MonkeyPatch, endpoint: str | None, style: str, signed: bool
) -> None:
    expected = {"addressing_style": style, "payload_signing_enabled": signed}
    given: Any = client_arguments(S3Options(endpoint), chain_region=None)
    assert given["config"].s3 == expected
    if endpoint:
        monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
    by_chain: Any = client_arguments(S3Options(), chain_region=None)
    assert (by_chain["config"].s3, by_chain["endpoint_url"]) == (expected, endpoint)


def test_an_endpoint_of_the_chain_that_is_no_address(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "minio:9000")
    with pytest.raises(SettingsInvalid, match="AWS_ENDPOINT_URL is not the address"):
        open_bucket("s3://memories").put("a", b"")


def test_importing_the_package_loads_no_client_library() -> None:
    heavy = ("boto3", "botocore", "aioboto3", "aiohttp", "pydantic", "pyarrow", "duckdb")
    code = f"import sys, recall_wire.buckets.multipart; print(set({heavy}) & set(sys.modules))"
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, check=True, text=True
    )
    assert result.stdout.strip() == "set()"
