"""The probe tells good endpoints from poor ones, and cleans up after itself."""

from __future__ import annotations

from pathlib import Path

import pytest
from fake_bucket import FakeBucket

from recall_wire.buckets import Bucket
from recall_wire.buckets.folder import FolderBucket
from recall_wire.buckets.probe import Capabilities, probe
from recall_wire.errors import BucketRefused, BucketUnreachable

EVERYTHING = Capabilities(*[True] * 8)
AT = "hub/h/probe/"


def test_real_backends_honour_everything(bucket: Bucket) -> None:
    bucket.put("hub/h/other", b"")
    assert probe(bucket, AT) == EVERYTHING
    assert [i.key for page in bucket.list("") for i in page.objects] == ["hub/h/other"]
    assert bucket.list_multipart("") == ()


class PoorBucket(FakeBucket):
    """Overwrites in spite of If-None-Match; its listing knows neither start nor delimiter."""

    def put(self, key: str, data: bytes, *, if_absent: bool = False) -> str:
        return super().put(key, data)


def test_what_is_missing_is_a_value() -> None:
    bucket = PoorBucket()
    found = probe(bucket, AT)
    assert found == Capabilities(
        writes=True, reads=True, lists=True, multipart=True, deletes=True, if_none_match=False
    )
    assert (bucket.objects, bucket.uploads) == ({}, {})


def test_one_refusal_says_nothing_about_the_rest() -> None:
    class NoMultipart(FakeBucket):
        def create_multipart(self, key: str) -> str:
            raise BucketRefused("multipart is not supported")

    found = probe(NoMultipart(), AT)
    assert (found.writes, found.multipart, found.deletes) == (True, False, True)
    assert found.problems == ("multipart is not supported",)


def test_read_only_credentials() -> None:
    class ReadOnly(FakeBucket):
        def put(self, key: str, data: bytes, *, if_absent: bool = False) -> str:
            raise BucketRefused("permission is missing")

        def create_multipart(self, key: str) -> str:
            raise BucketRefused("permission is missing")

    found = probe(ReadOnly(), AT)
    assert not found.writes
    assert "permission is missing" in found.problems


@pytest.mark.parametrize("nth", range(1, 14))
def test_an_endpoint_that_goes_away_is_a_value_too(nth: int) -> None:
    bucket = FakeBucket()
    bucket.fail_at = nth
    bucket.error = BucketUnreachable("the network is gone")
    found = probe(bucket, AT)
    assert found != EVERYTHING
    assert found.problems == ("the network is gone",)
    assert (bucket.objects, bucket.uploads) == ({}, {})


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    found = probe(FolderBucket(tmp_path / "missing"), AT)
    assert (found.writes, found.reads, found.lists) == (False, False, False)
    assert "is not there" in found.problems[0]
