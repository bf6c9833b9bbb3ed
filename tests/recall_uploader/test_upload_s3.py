"""The same run against a real S3 server, over HTTP."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto.server import ThreadedMotoServer

from recall_uploader.extract import Request
from recall_uploader.upload import upload
from recall_wire.buckets import S3Options, open_bucket
from recall_wire.buckets.base import Bucket
from recall_wire.errors import BucketUnreachable


@pytest.fixture
def s3() -> Iterator[Bucket]:
    server = ThreadedMotoServer(port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    endpoint = f"http://{host}:{port}"
    keys = {"aws_access_key_id": "test", "aws_secret_access_key": "test"}
    client = boto3.client("s3", endpoint_url=endpoint, region_name="us-east-1", **keys)
    name = f"memories-{uuid.uuid4()}"  # the servers of one process share what they hold
    client.create_bucket(Bucket=name)
    client.close()
    opened = open_bucket(
        f"s3://{name}/team",
        S3Options(endpoint, "us-east-1", access_key_id="test", secret_access_key="test"),
    )
    yield opened
    opened.close()
    server.stop()


def test_a_snapshot_in_parts_arrives_whole_and_the_next_run_sends_the_change(
    s3: Bucket, instance_of: Any, view_of: Any, tmp_path: Path
) -> None:
    source = tmp_path / "notes.jsonl"
    text = os.urandom(3_500_000).hex()
    source.write_text(f'{{"memory_id": "big", "text": "{text}{text[::-1]}"}}\n')
    view = view_of(s3)

    first = upload(instance_of(reached=s3), Request(source))
    source.write_text(source.read_text() + '{"memory_id": "small", "text": "one more"}\n')
    second = upload(instance_of(reached=s3), Request(source))

    assert first.bytes > 5 << 20
    assert (first.seq, second.seq, second.rows) == (1, 2, 1)
    assert view.records()[0]["text"] == text + text[::-1]
    assert view.head_seq() == 2
    assert view.pending_uploads() == 0


@pytest.mark.parametrize("lost", [False, True], ids=["before", "answer lost"])
def test_a_call_fails_and_the_next_run_ends_in_the_same_place(
    lost: bool, s3: Bucket, instance_of: Any, view_of: Any, notes: Path
) -> None:
    view = view_of(s3)
    for run in range(3, 9):  # before the third call there is nothing that could wait
        failing = _Failing(s3, run, lost, BucketUnreachable("cut"))
        options = {"system_id": f"laptop-{run}", "state": f"state-{run}"}
        upload(instance_of(reached=failing, **options), Request(notes))
        upload(instance_of(reached=s3, **options), Request(notes))

        assert len(view.records(f"laptop-{run}")) == 10
        assert view.seqs(f"laptop-{run}") == [1]
        assert view.head_seq(f"laptop-{run}") == 1


class _Failing:
    """The n-th call fails, once."""

    def __init__(self, inner: Bucket, at: int, lost: bool, error: Exception) -> None:
        self._inner, self._left, self._lost, self._error = inner, at, lost, error

    def __getattr__(self, name: str) -> Any:
        def call(*arguments: Any, **options: Any) -> Any:
            self._left -= 1
            if self._left == 0 and not self._lost:
                raise self._error
            answer = getattr(self._inner, name)(*arguments, **options)
            if self._left == 0:
                raise self._error
            return answer

        return call if name != "close" else lambda: None
