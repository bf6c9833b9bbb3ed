"""The whole way over real backends: an S3 server over HTTP, and a folder."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto.server import ThreadedMotoServer

from recall_wire.buckets import Bucket, S3Options, open_bucket
from recall_wire.buckets.multipart import PART_BYTES
from recall_wire.records import Record


@pytest.fixture(params=["s3", "folder"])
def bucket(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Bucket]:
    if request.param == "folder":
        (tmp_path / "bucket").mkdir()
        yield open_bucket((tmp_path / "bucket").as_uri())
        return
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    keys = {"aws_access_key_id": "key", "aws_secret_access_key": "secret"}
    client = boto3.client(
        "s3", endpoint_url=f"http://{host}:{port}", region_name="us-east-1", **keys
    )
    client.create_bucket(Bucket="memories")
    client.close()
    yield open_bucket(
        "s3://memories/prefix", S3Options(f"http://{host}:{port}", "us-east-1", "key", "secret")
    )
    server.stop()


def test_a_life_over_a_real_bucket(make_world: Any, make_record: Any, bucket: Bucket) -> None:
    world = make_world(bucket)
    world.merge([make_record(n) for n in range(300)])
    expected, before = world.texts(), world.logical_hash()
    world.pass_days(100)
    assert world.tiers.age(named_by_backups=set).to_cold == 300
    assert (world.texts(), world.logical_hash()) == (expected, before)

    world.merge([Record(f"m{n}", op="delete") for n in range(150)])
    assert world.tiers.age(named_by_backups=set).compacted_files == 1
    # The bucket has its own clock: what it got just now is no day old by the hub's.
    assert len(list_keys(bucket)) == 2
    world.pass_days(2)
    assert world.tiers.age(named_by_backups=set).deleted_objects == 1
    assert len(list_keys(bucket)) == 1
    world.tiers.texts.clear_cache()
    assert world.texts() == {m: t for m, t in expected.items() if int(m[1:]) >= 150}
    assert world.tiers.sample_problems(150) == []


def test_a_file_of_many_parts(make_world: Any, make_record: Any, bucket: Bucket) -> None:
    """Text that hardly compresses, more than one part of an upload holds."""
    import random

    chance = random.Random(5)
    text = "".join(chance.choices("".join(map(chr, range(33, 400))), k=PART_BYTES))
    world = make_world(bucket)
    world.merge([make_record(1), make_record(2, text=text), make_record(3)])
    expected = world.texts()
    world.pass_days(100)
    assert world.tiers.age().to_cold == 3
    assert max(size for _, size in list_keys(bucket)) > PART_BYTES
    assert world.texts() == expected


def list_keys(bucket: Bucket) -> list[tuple[str, int]]:
    return [(item.key, item.bytes) for page in bucket.list("hub/h1/cold/") for item in page.objects]
