"""The one translation of what botocore and aiohttp raise into our own errors.

Messages hold the endpoint's error code and never its free text: that is not ours to vouch for.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from botocore import exceptions as boto
from botocore.parsers import ResponseParserError
from urllib3.exceptions import HTTPError as Urllib3Error
from urllib3.exceptions import NameResolutionError

from recall_wire.errors import (
    BucketRefused,
    BucketThrottled,
    BucketUnreachable,
    ObjectNotFound,
    ObjectTooShort,
    PreconditionFailed,
    RecallError,
    WriteConflict,
)

_THROTTLED = {
    "BandwidthLimitExceeded",
    "RequestLimitExceeded",
    "RequestThrottled",
    "SlowDown",
    "Throttling",
    "ThrottlingException",
    "TooManyRequests",
}
_DAMAGED = {"BadDigest", "IncompleteBody", "RequestTimeout", "XAmzContentSHA256Mismatch"}
_WRONG_REGION = {
    "PermanentRedirect",
    "AuthorizationHeaderMalformed",
    "IllegalLocationConstraintException",
    "InvalidRegionName",
    "TemporaryRedirect",
}
_CLOCK = "set this machine's clock (it may be off by at most 15 minutes), best with NTP"
_CREDENTIALS = "check s3_access_key_id and s3_secret_access_key, or the AWS credential chain"
_PERMISSION = (
    "let these credentials list, read, write and delete in this bucket, or check the bucket's name"
)

_ACCOUNT = ("the account is suspended or not signed up", "see to it with the bucket's provider")
_TEMPORARY = "get new temporary credentials"
_FULL = ("the bucket is full", "make room or raise its quota")

# code → what is wrong, what to do
_REFUSED: Mapping[str, tuple[str, str]] = {
    "AccessDenied": ("permission is missing", _PERMISSION),
    "AccountProblem": _ACCOUNT,
    "AllAccessDisabled": ("the bucket is disabled", "ask its owner"),
    "NotSignedUp": _ACCOUNT,
    "SignatureDoesNotMatch": ("the secret key does not fit the access key", _CREDENTIALS),
    "InvalidAccessKeyId": ("the access key is unknown there", _CREDENTIALS),
    "ExpiredToken": ("the temporary credentials have expired", _TEMPORARY),
    "ExpiredTokenException": ("the temporary credentials have expired", _TEMPORARY),
    "InvalidToken": ("the session token is not valid", _TEMPORARY),
    "TokenRefreshRequired": ("the session token must be renewed", _TEMPORARY),
    "RequestTimeTooSkewed": ("this machine's clock is wrong", _CLOCK),
    "RequestExpired": ("this machine's clock is wrong", _CLOCK),
    "NoSuchBucket": ("there is no such bucket", "create it, or correct bucket_url"),
    "InvalidBucketName": ("the bucket's name is not valid", "correct bucket_url"),
    "NotImplemented": ("the endpoint does not support this request", "use another endpoint"),
    "EntityTooSmall": ("a part is smaller than 5 MiB", "use the default part size"),
    "EntityTooLarge": ("the object is too large for one request", "use the default part size"),
    "QuotaExceeded": _FULL,
    "XMinioAdminBucketQuotaExceeded": _FULL,
    "XMinioStorageFull": _FULL,
}
_KMS = (
    "the bucket's encryption key cannot be used",
    "enable that key, and let these credentials use it (kms:GenerateDataKey, kms:Decrypt)",
)
_BY_STATUS = {
    401: "InvalidAccessKeyId",
    403: "AccessDenied",
    405: "NotImplemented",
    413: "EntityTooLarge",
    501: "NotImplemented",
    507: "QuotaExceeded",
}
_NO_TLS = re.compile("WRONG_VERSION_NUMBER|RECORD_LAYER_FAILURE|HTTP_REQUEST")
_NO_CREDENTIALS = (
    boto.NoCredentialsError,
    boto.PartialCredentialsError,
    boto.CredentialRetrievalError,
    boto.TokenRetrievalError,
    boto.SSOError,
    boto.ProfileNotFound,
    boto.ConfigParseError,
)
_NO_ANSWER = (
    boto.ConnectionError,
    boto.HTTPClientError,
    boto.IncompleteReadError,
    boto.ResponseStreamingError,
    Urllib3Error,
    OSError,  # ConnectionError and TimeoutError among them
)


@contextmanager
def translated(what: str, where: str) -> Iterator[None]:
    """Raise our own error `from` theirs. `what` is an infinitive: "read heads/a"."""
    try:
        yield
    except RecallError:
        raise
    except Exception as error:
        ours = translate(error, what, where)
        if ours is None:
            raise
        raise ours from error


def translate(error: Exception, what: str, where: str) -> RecallError | None:
    """Our error for theirs, or None for one that no bucket causes (a defect, a cancellation)."""
    if isinstance(error, boto.ClientError):
        return _from_answer(error, what, where)
    failed = f"cannot {what} in {where}"
    if isinstance(error, KeyError):
        # What every S3 answer carries is not there: a sign-in page, or another service.
        return BucketRefused(
            f"{failed}: what answers there speaks no S3",
            hint="see to s3_endpoint_url, and to a proxy or a sign-in page on this network",
        )
    return _refused(error, failed) or _unreachable(error, failed)


def _refused(error: Exception, failed: str) -> BucketRefused | None:
    if isinstance(error, _NO_CREDENTIALS):
        return BucketRefused(f"{failed}: no usable credentials", hint=_CREDENTIALS)
    if isinstance(error, boto.SSLError) and "CERTIFICATE_VERIFY_FAILED" in str(error):
        return BucketRefused(
            f"{failed}: the endpoint's certificate is not trusted",
            hint="check s3_endpoint_url, this machine's clock, whether this network wants a "
            "sign-in first, and its certificate authorities (AWS_CA_BUNDLE names more)",
        )
    if isinstance(error, boto.SSLError) and _NO_TLS.search(str(error)):
        return BucketRefused(
            f"{failed}: the endpoint does not speak TLS",
            hint="write http:// in s3_endpoint_url, or correct its port",
        )
    if isinstance(error, boto.ParamValidationError | boto.NoRegionError | boto.InvalidRegionError):
        return BucketRefused(
            f"{failed}: its name or region is not valid", hint="correct bucket_url or s3_region"
        )
    return None


def _unreachable(error: Exception, failed: str) -> BucketUnreachable | None:
    if isinstance(error, _NO_ANSWER) or _is_aiohttp(error):
        return BucketUnreachable(f"{failed}: {_reason(error)}")
    # A proxy's page, or half an answer: whatever stands there, it may be S3 again in a minute.
    if isinstance(error, boto.BotoCoreError | ResponseParserError):
        return BucketUnreachable(f"{failed}: the answer is not S3's")
    return None


def _from_answer(error: boto.ClientError, what: str, where: str) -> RecallError:
    answer: Mapping[str, Any] = error.response
    code = str(answer.get("Error", {}).get("Code", ""))
    meta = answer.get("ResponseMetadata", {})
    status = int(meta.get("HTTPStatusCode", 0))
    headers: Mapping[str, str] = meta.get("HTTPHeaders", {})
    if code in _WRONG_REGION or 300 <= status < 400:
        return _wrong_region(answer, headers, what, where)
    if code in _THROTTLED or status == 429 or (status == 503 and "retry-after" in headers):
        wait_s = _seconds(headers.get("retry-after"))
        return BucketThrottled(f"{where} asks for fewer requests", retry_after_s=wait_s)
    return _by_code(code, status, f"cannot {what} in {where}")


def _by_code(code: str, status: int, failed: str) -> RecallError:
    if code in ("NoSuchKey", "NoSuchUpload", "InvalidPart", "InvalidPartOrder"):
        return ObjectNotFound(f"{failed}: {_shown(code)}")
    if code in _DAMAGED or status == 408:
        return BucketUnreachable(f"{failed}: the request did not arrive whole ({_shown(code)})")
    wrong, hint = _refusal(code, status)
    if wrong:
        return BucketRefused(f"{failed}: {wrong} ({_shown(code)})", hint=hint)
    return _by_status(code, status, failed)


def _refusal(code: str, status: int) -> tuple[str, str]:
    """What is wrong, what to do; empty where nothing is known of the code."""
    if code.startswith("KMS"):
        return _KMS
    key = code if code in _REFUSED else _BY_STATUS.get(status, "")
    return _REFUSED.get(key, ("", ""))


def _by_status(code: str, status: int, failed: str) -> RecallError:
    if status == 404:
        return ObjectNotFound(f"{failed}: it is not there")
    if status == 416:
        return ObjectTooShort(f"{failed}: it ends before the range that was asked for")
    if status == 412:
        return PreconditionFailed(f"{failed}: it exists already or has changed")
    if status == 409:
        return WriteConflict(f"{failed}: somebody else writes it at this moment")
    # The answer to a HEAD has no body, and then botocore takes the status for the code.
    said = f"the endpoint answered {status} {_shown(code) if code != str(status) else ''}".rstrip()
    if status >= 500 or status < 400:
        return BucketUnreachable(f"{failed}: {said}")
    return BucketRefused(f"{failed}: {said}", hint="look that up with the bucket's provider")


def _wrong_region(
    answer: Mapping[str, Any], headers: Mapping[str, str], what: str, where: str
) -> BucketRefused:
    region = answer.get("Error", {}).get("Region") or headers.get("x-amz-bucket-region", "")
    there = f"set s3_region to {_shown(region)}" if region else "correct s3_region"
    return BucketRefused(
        f"cannot {what} in {where}: the bucket is in another region",
        hint=f"{there}, and check s3_endpoint_url",
    )


def _is_aiohttp(error: Exception) -> bool:
    """Instances have no aiohttp, and need none to know that an error is not its."""
    aiohttp = sys.modules.get("aiohttp")
    return aiohttp is not None and isinstance(error, aiohttp.ClientError)


def _reason(error: Exception) -> str:
    if isinstance(error, boto.ReadTimeoutError | boto.ConnectTimeoutError | TimeoutError):
        return "no answer in time"
    if isinstance(error, boto.ProxyConnectionError):
        return "the proxy cannot be reached; check HTTPS_PROXY"
    if isinstance(error, boto.EndpointConnectionError):
        unknown = isinstance(_inner(error), NameResolutionError)
        return "its name cannot be resolved" if unknown else "nothing answers at its address"
    return "the connection broke"


def _inner(error: boto.BotoCoreError) -> object:
    return error.kwargs.get("error")


def _seconds(value: str | None) -> float | None:
    """Retry-After in seconds, at most an hour; its form as a date is left aside."""
    digits = (value or "").strip()
    return min(float(digits), 3600.0) if digits.isascii() and digits.isdigit() else None


def _shown(code: object) -> str:
    return "".join(c for c in str(code)[:60] if c.isalnum() or c in "-_. ")
