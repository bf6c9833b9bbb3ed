"""moto's S3 server in a process of its own, over HTTP or HTTPS, that counts what it is sent."""

from __future__ import annotations

import argparse
import ipaddress
import json
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import boto3

BUCKET = "bench"
CREDENTIALS = {"AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret"}
COUNTS_PATH = "/-counts"


@dataclass(frozen=True, slots=True)
class Server:
    """A running server. `environment` lets any AWS client reach it and trust its certificate."""

    url: str
    environment: dict[str, str] = field(default_factory=dict)

    def take_away(self, bytes_: int) -> int:
        """Delete the objects of this size and say how many they were: moto keeps them in memory
        and in temporary files. Smaller ones stay, for they are what an instance believes in."""
        client = self._client()
        every = client.list_objects_v2(Bucket=BUCKET).get("Contents", ())
        keys = [item["Key"] for item in every if item["Size"] == bytes_]
        for key in keys:
            client.delete_object(Bucket=BUCKET, Key=key)
        return len(keys)

    def counts(self) -> dict[str, int]:
        """Since the last call: `bytes`, `parts`, and `most_in_flight`, the PUTs at one time."""
        answer = self._client().get_object(Bucket=COUNTS_PATH[1:], Key="x")
        return dict(json.loads(answer["Body"].read()))

    def _client(self) -> Any:
        return boto3.client(
            "s3",
            endpoint_url=self.url,
            region_name="us-east-1",
            aws_access_key_id="key",
            aws_secret_access_key="secret",
            verify=self.environment.get("AWS_CA_BUNDLE"),
        )


@contextmanager
def running(*, tls: bool) -> Iterator[Server]:
    """A server with an empty bucket; it ends with the block."""
    with tempfile.TemporaryDirectory(prefix="recall-s3-") as name:
        certificate = _certificate(Path(name)) if tls else None
        command = [sys.executable, __file__, *([str(certificate)] if certificate else [])]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        try:
            server = Server(process.stdout.readline().strip(), _environment(certificate))
            server._client().create_bucket(Bucket=BUCKET)
            yield server
        finally:
            process.terminate()
            process.wait()


def _environment(certificate: Path | None) -> dict[str, str]:
    trust = {} if certificate is None else dict.fromkeys(_TRUST_VARIABLES, str(certificate))
    return CREDENTIALS | {"AWS_REGION": "us-east-1", "AWS_EC2_METADATA_DISABLED": "true"} | trust


_TRUST_VARIABLES = ("AWS_CA_BUNDLE", "SSL_CERT_FILE")


def _certificate(folder: Path) -> Path:
    """A self-signed certificate for 127.0.0.1 and its key, in one file."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "recall bench")])
    here = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(here, critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = folder / "server.pem"
    path.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        + certificate.public_bytes(serialization.Encoding.PEM)
    )
    return path


class _Counting:
    """WSGI: counts the PUTs with a body that are under way, and their bytes."""

    def __init__(self, app: Callable[..., Iterable[bytes]]) -> None:
        self._app = app
        self._lock = threading.Lock()
        self._in_flight = 0
        self._counts = self._zero()

    @staticmethod
    def _zero() -> dict[str, int]:
        return {"bytes": 0, "parts": 0, "most_in_flight": 0}

    def __call__(self, environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        if environ["PATH_INFO"].startswith(COUNTS_PATH):
            return self._answer(start)
        if environ["REQUEST_METHOD"] != "PUT":
            return self._app(environ, start)
        with self._lock:
            self._in_flight += 1
            self._counts["bytes"] += _length(environ)
            self._counts["parts"] += "partNumber=" in environ["QUERY_STRING"]
            self._counts["most_in_flight"] = max(self._counts["most_in_flight"], self._in_flight)
        try:
            return self._app(environ, start)
        finally:
            with self._lock:
                self._in_flight -= 1

    def _answer(self, start: Callable[..., Any]) -> Iterable[bytes]:
        with self._lock:
            body, self._counts = json.dumps(self._counts).encode(), self._zero()
        start("200 OK", [("Content-Length", str(len(body)))])
        return [body]


def _length(environ: dict[str, Any]) -> int:
    """Of the content: boto3 wraps it into chunks where it does not sign it."""
    decoded = environ.get("HTTP_X_AMZ_DECODED_CONTENT_LENGTH")
    return int(decoded or environ.get("CONTENT_LENGTH") or 0)


def _serve(certificate: str | None) -> None:
    import logging

    from moto.s3 import models
    from moto.server import DomainDispatcherApplication, create_backend_app
    from werkzeug.serving import make_server

    logging.getLogger("werkzeug").disabled = True
    # Where the client declares no checksum, moto makes a CRC64 in Python: 20 s a GiB, in which
    # the client waits.
    models.MultipartChecksumBuilder.addPart = lambda self, part: None
    models.MultipartChecksumBuilder.build = lambda self: None
    app = _Counting(DomainDispatcherApplication(create_backend_app))
    tls = (certificate, certificate) if certificate else None
    server = make_server("127.0.0.1", 0, app, threaded=True, ssl_context=tls)
    print(f"{'https' if tls else 'http'}://127.0.0.1:{server.server_port}", flush=True)
    server.serve_forever()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("certificate", nargs="?", help="a PEM file with key and certificate")
    _serve(parser.parse_args().certificate)
