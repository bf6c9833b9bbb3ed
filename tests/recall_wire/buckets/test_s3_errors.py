"""What an endpoint answers, and the error a person sees: the same from both S3 backends."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from pathlib import Path

import pytest
from s3_answers import Answer, answering

from recall_wire.buckets import Bucket, S3Options, open_async_bucket, open_bucket
from recall_wire.buckets.s3_errors import translate
from recall_wire.errors import (
    BucketRefused,
    BucketThrottled,
    BucketUnreachable,
    ObjectNotFound,
    PreconditionFailed,
    RecallError,
    WriteConflict,
)

REGION = "<Region>eu-west-3</Region>"
TABLE = [
    (Answer(404, "NoSuchKey"), ObjectNotFound, ""),
    (Answer(404, "NoSuchUpload"), ObjectNotFound, ""),
    (Answer(404, "SomethingElse"), ObjectNotFound, ""),
    (Answer(400, "InvalidPart"), ObjectNotFound, ""),
    (Answer(404, "NoSuchBucket"), BucketRefused, "create it"),
    (Answer(412, "PreconditionFailed"), PreconditionFailed, "exists already"),
    (Answer(409, "ConditionalRequestConflict"), WriteConflict, ""),
    (Answer(409, "OperationAborted"), WriteConflict, ""),
    (Answer(503, "SlowDown"), BucketThrottled, ""),
    (Answer(429, "TooManyRequests"), BucketThrottled, ""),
    (Answer(503, "ServiceUnavailable", headers={"Retry-After": "3"}), BucketThrottled, ""),
    (Answer(503, "ServiceUnavailable"), BucketUnreachable, "503"),
    (Answer(500, "InternalError"), BucketUnreachable, "500"),
    (Answer(502, raw=b"<html>bad gateway"), BucketUnreachable, "502"),
    (Answer(400, "RequestTimeout"), BucketUnreachable, ""),
    (Answer(400, "XAmzContentSHA256Mismatch"), BucketUnreachable, "did not arrive whole"),
    (Answer(403, "AccessDenied"), BucketRefused, "permission"),
    (Answer(403, "SignatureDoesNotMatch"), BucketRefused, "s3_secret_access_key"),
    (Answer(403, "InvalidAccessKeyId"), BucketRefused, "s3_access_key_id"),
    (Answer(403, "RequestTimeTooSkewed"), BucketRefused, "set this machine's clock"),
    (Answer(400, "ExpiredToken"), BucketRefused, "expired"),
    (Answer(401, "Unauthorized"), BucketRefused, "access key"),
    (Answer(301, "PermanentRedirect", REGION), BucketRefused, "s3_region"),
    (Answer(400, "AuthorizationHeaderMalformed", REGION), BucketRefused, "eu-west-3"),
    (Answer(400, "InvalidRegionName"), BucketRefused, "s3_region"),
    (Answer(501, "NotImplemented"), BucketRefused, "does not support"),
    (Answer(403, "AccountProblem"), BucketRefused, "suspended"),
    (Answer(403, "AllAccessDisabled"), BucketRefused, "ask its owner"),
    (Answer(400, "TokenRefreshRequired"), BucketRefused, "get new temporary credentials"),
    (Answer(400, "KMS.DisabledException"), BucketRefused, "enable that key"),
    (Answer(400, "KMSInvalidStateException"), BucketRefused, "enable that key"),
    (Answer(403, "QuotaExceeded"), BucketRefused, "raise its quota"),
    (Answer(400, "XMinioStorageFull"), BucketRefused, "make room"),
    (Answer(507, "Whatever"), BucketRefused, "make room"),
    (Answer(400, "EntityTooLarge"), BucketRefused, "part size"),
    (Answer(413, raw=b"<html>too large"), BucketRefused, "part size"),
    (Answer(405, "MethodNotAllowed"), BucketRefused, "does not support"),
    (Answer(503, "BandwidthLimitExceeded"), BucketThrottled, ""),
    (Answer(418, "Teapot\n<b>"), BucketRefused, "answered 418; look that up"),
    (Answer(reset=True), BucketUnreachable, ""),
]
IDS = [answer.code or f"{answer.status}{answer.reset}" for answer, _, _ in TABLE]


def options(url: str, attempts: int = 1) -> S3Options:
    return S3Options(url, "us-east-1", "AKIDEXAMPLE", "s3cr3t", 2, 2, attempts)


def blocking_put(url: str) -> RecallError:
    bucket = open_bucket("s3://memories", options(url))
    with pytest.raises(RecallError) as caught:
        bucket.put("a/b", b"data", if_absent=True)
    bucket.close()
    return caught.value


def async_put(url: str) -> RecallError:
    async def put() -> RecallError:
        bucket = open_async_bucket("s3://memories", options(url))
        with pytest.raises(RecallError) as caught:
            await bucket.put("a/b", b"data", if_absent=True)
        await bucket.close()
        return caught.value

    return asyncio.run(put())


@pytest.mark.parametrize("put", [blocking_put, async_put])
@pytest.mark.parametrize(("answer", "expected", "said"), TABLE, ids=IDS)
def test_every_answer_has_its_error(
    answer: Answer, expected: type[RecallError], said: str, put: Callable[[str], RecallError]
) -> None:
    with answering(answer) as (url, _):
        error = put(url)
    assert type(error) is expected
    assert said in str(error)
    assert "a/b" in str(error) or expected is BucketThrottled
    assert error.__cause__ is not None
    for secret in ("s3cr3t", "AKIDEXAMPLE", "words of the server", "<b>", "\n"):
        assert secret not in str(error)


@pytest.mark.parametrize("put", [blocking_put, async_put])
@pytest.mark.parametrize(
    ("asked", "expected"),
    [("7", 7.0), ("999999", 3600.0), ("soon", None), ("-1", None), ("", None)],
)
def test_how_long_to_wait_is_passed_on(
    asked: str, expected: float | None, put: Callable[[str], RecallError]
) -> None:
    with answering(Answer(503, "SlowDown", headers={"Retry-After": asked})) as (url, _):
        error = put(url)
    assert isinstance(error, BucketThrottled)
    assert error.retry_after_s == expected


@pytest.mark.parametrize("put", [blocking_put, async_put])
def test_nobody_at_the_address(put: Callable[[str], RecallError]) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        error = put(f"http://127.0.0.1:{closed.getsockname()[1]}")
    assert isinstance(error, BucketUnreachable)
    assert "nothing answers" in str(error)


@pytest.mark.parametrize("put", [blocking_put, async_put])
def test_a_server_that_never_answers(put: Callable[[str], RecallError]) -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        error = put(f"http://127.0.0.1:{silent.getsockname()[1]}")
    assert isinstance(error, BucketUnreachable)
    assert "no answer in time" in str(error)


def test_a_few_tries_inside_one_call_and_no_more() -> None:
    with answering(Answer(500, "InternalError")) as (url, seen):
        bucket = open_bucket("s3://memories", options(url, attempts=2))
        with pytest.raises(BucketUnreachable):
            bucket.put("a", b"")
        bucket.close()
    assert len(seen) == 2


GARBAGE = [b"\x00\xff not xml", b"<?xml version='1.0'?><ListBucketResult><IsTr"]


@pytest.mark.parametrize("body", GARBAGE)
def test_a_listing_that_is_no_s3_answer(body: bytes) -> None:
    with answering(Answer(raw=body)) as (url, _):
        bucket = open_bucket("s3://memories", options(url))
        with pytest.raises(BucketUnreachable):
            list(bucket.list(""))
        bucket.close()


def test_a_listing_cut_without_a_way_on_does_not_go_round_for_ever() -> None:
    cut = b"<ListBucketResult><IsTruncated>true</IsTruncated></ListBucketResult>"
    with answering(Answer(raw=cut)) as (url, seen):
        bucket = open_bucket("s3://memories", options(url))
        with pytest.raises(BucketUnreachable, match="where to go on"):
            list(bucket.list(""))
        bucket.close()
    assert len(seen) == 1


def test_a_listing_that_repeats_its_marker_does_not_go_round_for_ever() -> None:
    again = (
        b"<ListBucketResult><IsTruncated>true</IsTruncated>"
        b"<NextContinuationToken>x</NextContinuationToken></ListBucketResult>"
    )
    with answering(Answer(raw=again)) as (url, seen):
        bucket = open_bucket("s3://memories", options(url))
        with pytest.raises(BucketUnreachable, match="where to go on"):
            list(bucket.list(""))
        bucket.close()
    assert len(seen) == 2


HALF = Answer(
    raw=b"half",
    promised_bytes=100,
    headers={"ETag": '"x"', "Last-Modified": "Fri, 20 Nov 2026 00:00:00 GMT"},
)


def test_half_an_object_is_no_object(tmp_path: Path) -> None:
    with answering(HALF) as (url, _):
        bucket = open_bucket("s3://memories", options(url))
        with pytest.raises(BucketUnreachable):
            bucket.get("a", max_bytes=1000)
        with pytest.raises(BucketUnreachable):
            bucket.download("a", tmp_path / "a", max_bytes=1000)
        bucket.close()
    assert not (tmp_path / "a").exists()


async def test_half_an_object_is_no_object_async(tmp_path: Path) -> None:
    with answering(HALF) as (url, _):
        bucket = open_async_bucket("s3://memories", options(url))
        with pytest.raises(BucketUnreachable):
            await bucket.get("a", max_bytes=1000)
        with pytest.raises(BucketUnreachable):
            await bucket.download("a", tmp_path / "a", max_bytes=1000)
        await bucket.close()
    assert not (tmp_path / "a").exists()


def test_a_declared_size_beyond_the_limit_is_refused_before_it_is_read(tmp_path: Path) -> None:
    huge = Answer(raw=b"x", promised_bytes=10**12, headers=HALF.headers)
    with answering(huge) as (url, _):
        bucket = open_bucket("s3://memories", options(url))
        with pytest.raises(RecallError, match="larger than 1000 bytes"):
            bucket.download("a", tmp_path / "a", max_bytes=1000)
        bucket.close()


def test_without_credentials_it_says_so() -> None:
    bucket: Bucket = open_bucket("s3://memories", S3Options("http://127.0.0.1:9"))
    with pytest.raises(BucketRefused, match="no usable credentials"):
        bucket.put("a", b"")
    bucket.close()


def test_a_profile_that_is_not_there_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_PROFILE", "nobody")
    with pytest.raises(BucketRefused, match="no usable credentials"):
        open_bucket("s3://memories", S3Options("http://127.0.0.1:9")).put("a", b"")


def test_a_defect_is_not_taken_for_a_bucket_error() -> None:
    assert translate(ZeroDivisionError(), "read a", "s3://b") is None
