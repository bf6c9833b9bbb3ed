"""S3 servers: one that lets everybody in, one that enforces a user's policy."""

from __future__ import annotations

import json
import os
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto.core.authorization import enable_iam_authentication
from moto.s3.exceptions import NoSuchUpload
from moto.s3.models import S3Backend
from moto.server import ThreadedMotoServer

from recall_uploader.app import Instance
from recall_wire.buckets import S3Options, open_bucket

Policy = dict[str, Any]


@pytest.fixture(autouse=True)
def _at_home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The machine's own settings are none of the tests' business."""
    for name in [name for name in os.environ if name.startswith(("AWS_", "RECALL_", "AKOSHA_"))]:
        monkeypatch.delenv(name)
    monkeypatch.delenv("CLAUDE_CONFIG_DIR", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "no-aws-config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "no-aws-credentials"))


@dataclass(frozen=True)
class Place:
    """A bucket on a server. `root` may do everything."""

    endpoint: str
    bucket: str
    root: S3Options

    @property
    def url(self) -> str:
        return f"s3://{self.bucket}"

    def user(self, policy: Policy | None) -> S3Options:
        """Keys of a user who has this policy and no other."""
        name = f"user-{uuid.uuid4()}"
        client = self._client("iam")
        client.create_user(UserName=name)
        if policy is not None:
            client.put_user_policy(
                UserName=name, PolicyName="only", PolicyDocument=json.dumps(policy)
            )
        key = client.create_access_key(UserName=name)["AccessKey"]
        client.close()
        return replace(
            self.root, access_key_id=key["AccessKeyId"], secret_access_key=key["SecretAccessKey"]
        )

    def create_bucket(self) -> None:
        client = self._client("s3")
        client.create_bucket(Bucket=self.bucket)
        client.close()

    def _client(self, service: str) -> Any:
        return boto3.client(
            service,
            endpoint_url=self.endpoint,
            region_name="us-east-1",
            aws_access_key_id=self.root.access_key_id,
            aws_secret_access_key=self.root.secret_access_key,
        )


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    send = S3Backend.upload_part

    def as_s3_does(backend: S3Backend, bucket: str, upload_id: str, *rest: Any) -> Any:
        """For an upload it does not know, moto fails with a 500."""
        if upload_id not in backend.get_bucket(bucket).multiparts:
            raise NoSuchUpload(upload_id=upload_id)
        return send(backend, bucket, upload_id, *rest)

    monkeypatch.setattr(S3Backend, "upload_part", as_s3_does)
    running = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    running.start()
    host, port = running.get_host_and_port()
    yield f"http://{host}:{port}"
    running.stop()


@pytest.fixture
def open_place(server: str) -> Place:
    """Nobody's keys are looked at."""
    bucket = f"memories-{uuid.uuid4()}"  # the servers of one process share what they hold
    place = Place(server, bucket, S3Options(server, "us-east-1", "key", "secret"))
    place.create_bucket()
    return place


@pytest.fixture
def guarded_place(open_place: Place) -> Iterator[Place]:
    """Signatures, actions and resources are checked; conditions are not: moto knows none here."""
    everything = {"Effect": "Allow", "Action": "*", "Resource": "*"}
    root = open_place.user({"Version": "2012-10-17", "Statement": [everything]})
    with enable_iam_authentication():
        yield replace(open_place, root=root)


@pytest.fixture
def instance_at(instance_of: Any) -> Callable[..., Instance]:
    """An instance by the name of laptop whose bucket is that place, with these keys. Its clock is
    the real one: it is compared with the server's."""

    def make(place: Place, keys: S3Options | None = None, **settings: Any) -> Instance:
        options = keys or place.root
        known = {"bucket_url": place.url, "s3_endpoint_url": place.endpoint}
        return replace(
            instance_of(**{**known, **settings}),
            connect=lambda: open_bucket(place.url, options),
            clock=lambda: datetime.now(UTC),
        )

    return make
