"""Endpoints that a request never arrives at: what a person is told, and whether to wait."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import ssl
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from s3_answers import Answer, answering

from recall_wire.buckets import S3Options, open_async_bucket, open_bucket
from recall_wire.errors import BucketRefused, BucketUnreachable, RecallError


def options(url: str) -> S3Options:
    return S3Options(url, "us-east-1", "AKIDEXAMPLE", "s3cr3t", 2, 2)


def blocking(url: str) -> RecallError:
    bucket = open_bucket("s3://memories", options(url))
    with pytest.raises(RecallError) as caught:
        bucket.put("a", b"data")
    bucket.close()
    return caught.value


def by_event_loop(url: str) -> RecallError:
    async def put() -> RecallError:
        bucket = open_async_bucket("s3://memories", options(url))
        with pytest.raises(RecallError) as caught:
            await bucket.put("a", b"data")
        await bucket.close()
        return caught.value

    return asyncio.run(put())


BOTH = pytest.mark.parametrize("put", [blocking, by_event_loop])


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A self-signed certificate for 127.0.0.1 and its key, in one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "nobody")])
    here = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    now = datetime.now(UTC)
    signed = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(here, critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem, pkcs8 = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    path = tmp_path_factory.mktemp("tls") / "server.pem"
    path.write_bytes(
        key.private_bytes(pem, pkcs8, serialization.NoEncryption()) + signed.public_bytes(pem)
    )
    return path


@BOTH
def test_a_certificate_nobody_trusts_needs_a_person(
    certificate: Path, put: Callable[[str], RecallError]
) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    with answering(Answer(200), tls=context) as (url, seen):
        error = put(url)
    assert isinstance(error, BucketRefused)
    assert "certificate is not trusted" in str(error)
    assert "AWS_CA_BUNDLE" in str(error)
    assert seen == []


def test_a_certificate_that_the_aws_chain_trusts_is_taken(
    certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_CA_BUNDLE", str(certificate))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    with answering(Answer(200, headers={"ETag": '"x"'}), tls=context) as (url, _):
        bucket = open_bucket("s3://memories", options(url))
        assert bucket.put("a", b"data") == "x"
        bucket.close()


@BOTH
def test_https_where_only_http_is_spoken_needs_a_person(put: Callable[[str], RecallError]) -> None:
    with answering(Answer(200)) as (url, _):
        error = put(url.replace("http://", "https://"))
    assert isinstance(error, BucketRefused)
    assert "write http:// in s3_endpoint_url" in str(error)


def test_a_name_that_cannot_be_resolved_may_be_known_later() -> None:
    error = blocking("http://nowhere.invalid:9")
    assert isinstance(error, BucketUnreachable)
    assert "its name cannot be resolved" in str(error)


def test_a_proxy_that_is_down_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        proxy = f"http://127.0.0.1:{closed.getsockname()[1]}"
        monkeypatch.setenv("HTTPS_PROXY", proxy)
        monkeypatch.setenv("NO_PROXY", "")
        error = blocking("https://nowhere.invalid")
    assert isinstance(error, BucketUnreachable)
    assert "check HTTPS_PROXY" in str(error)
