"""Every backend as a fixture: a fresh, empty bucket each time."""

from __future__ import annotations

import os
import sys
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config
from moto.server import ThreadedMotoServer

from recall_wire.buckets import AsyncBucket, Bucket, S3Options, open_async_bucket, open_bucket
from recall_wire.buckets.folder import FolderBucket
from recall_wire.buckets.threaded import ThreadedBucket

sys.path.insert(0, str(Path(__file__).parent))  # fake_bucket, s3_answers, swift_server

BUCKET = "memories"
SERVERS = ["moto"]
if os.environ.get("RECALLD_TEST_SOAK") == "1":
    SERVERS.append("swift")

BLOCKING = [*SERVERS, "folder"]
# A blocking S3 bucket stands behind threads too, so that one suite runs over all of them.
EVERY = [f"{server}-{kind}" for server in SERVERS for kind in ("blocking", "async")] + ["folder"]


@pytest.fixture(autouse=True)
def no_aws_chain(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The machine's own AWS settings are none of the tests' business."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "no-aws-config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "no-aws-credentials"))


@pytest.fixture(scope="session")
def server_options(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Any]]:
    """Options that reach a server, which is started when it is first asked for."""
    started: dict[str, S3Options] = {}
    stop: list[Callable[[], Any]] = []

    def options(server: str) -> S3Options:
        if server not in started:
            start = _start_swift if server == "swift" else _start_moto
            started[server], stopper = start(tmp_path_factory)
            stop.append(stopper)
            _create_bucket(started[server])
        return started[server]

    yield options
    for each in stop:
        each()


def _start_moto(_: pytest.TempPathFactory) -> tuple[S3Options, Callable[[], Any]]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    return S3Options(f"http://{host}:{port}", "us-east-1", "key", "secret"), server.stop


def _start_swift(folders: pytest.TempPathFactory) -> tuple[S3Options, Callable[[], Any]]:
    from swift_server import ACCESS_KEY, SECRET_KEY, swift_server

    running = swift_server(folders.mktemp("swift"))
    url = running.__enter__()
    return S3Options(url, None, ACCESS_KEY, SECRET_KEY), lambda: running.__exit__(None, None, None)


def _create_bucket(options: S3Options) -> None:
    client = boto3.client(
        "s3",
        endpoint_url=options.endpoint_url,
        region_name="us-east-1",
        aws_access_key_id=options.access_key_id,
        aws_secret_access_key=options.secret_access_key,
        config=Config(s3={"addressing_style": "path"}),
    )
    client.create_bucket(Bucket=BUCKET)
    client.close()


def _url(kind: str, tmp_path: Path) -> str:
    if kind == "folder":
        root = tmp_path / "bucket"
        root.mkdir()
        return root.as_uri()
    return f"s3://{BUCKET}/{uuid.uuid4().hex}"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """An empty folder for a bucket of which the test looks at the files."""
    path = tmp_path / "root"
    path.mkdir()
    return path


@pytest.fixture
def folder(root: Path) -> FolderBucket:
    return FolderBucket(root)


@pytest.fixture(params=BLOCKING)
def bucket(
    request: pytest.FixtureRequest, server_options: Callable[..., S3Options], tmp_path: Path
) -> Iterator[Bucket]:
    kind = request.param
    options = None if kind == "folder" else server_options(kind)
    opened = open_bucket(_url(kind, tmp_path), options)
    yield opened
    opened.close()


@pytest.fixture(params=EVERY)
async def any_bucket(
    request: pytest.FixtureRequest, server_options: Callable[..., S3Options], tmp_path: Path
) -> AsyncIterator[AsyncBucket]:
    server, _, kind = request.param.partition("-")
    options = None if server == "folder" else server_options(server)
    opened = _opened(kind, _url(server, tmp_path), options)
    yield opened
    await opened.close()


def _opened(kind: str, url: str, options: S3Options | None) -> AsyncBucket:
    if kind == "blocking":
        return ThreadedBucket(open_bucket(url, options))
    return open_async_bucket(url, options)


MANY = [f"k/{number:04d}" for number in range(1001)]
_Holding = Callable[[str, S3Options | None], str]


@pytest.fixture(scope="module")
def holding_many(tmp_path_factory: pytest.TempPathFactory) -> _Holding:
    """The URL of a server's bucket that holds `MANY`: they are put once and listed either way."""
    urls: dict[str, str] = {}

    def url_of(server: str, options: S3Options | None) -> str:
        if server not in urls:
            urls[server] = _url(server, tmp_path_factory.mktemp("many"))
            with closing(open_bucket(urls[server], options)) as bucket:
                for key in MANY:
                    bucket.put(key, b"")
        return urls[server]

    return url_of


@pytest.fixture(params=EVERY)
async def bucket_of_many(
    request: pytest.FixtureRequest,
    server_options: Callable[..., S3Options],
    holding_many: _Holding,
) -> AsyncIterator[tuple[AsyncBucket, list[str]]]:
    """A bucket of each kind, and its more than a thousand keys; it is only read."""
    server, _, kind = request.param.partition("-")
    options = None if server == "folder" else server_options(server)
    opened = _opened(kind, holding_many(server, options), options)
    yield opened, MANY
    await opened.close()
