"""What both S3 backends say and hear: request parameters, and answers as our own types."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from recall_wire.buckets.base import LIST_PAGE_KEYS, ListPage, ObjectInfo, Part, PendingUpload
from recall_wire.buckets.keys import check_characters, check_key, check_prefix
from recall_wire.buckets.location import S3Location
from recall_wire.errors import BucketRefused, BucketUnreachable

Parameters = dict[str, Any]
Answer = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class S3Requests:
    """Keys go in and come out relative to the location's prefix."""

    location: S3Location

    def at(self, key: str) -> Parameters:
        check_key(key)
        full = self.location.prefix + key
        check_characters(full)
        return {"Bucket": self.location.bucket, "Key": full}

    def range(self, key: str, start: int, length: int) -> Parameters:
        return self.at(key) | {"Range": f"bytes={start}-{start + length - 1}"}

    def put(self, key: str, *, if_absent: bool) -> Parameters:
        return self.at(key) | ({"IfNoneMatch": "*"} if if_absent else {})

    def list(self, prefix: str, start_after: str, delimiter: str) -> Parameters:
        parameters = self.under(prefix) | {"MaxKeys": LIST_PAGE_KEYS}
        if start_after:
            parameters["StartAfter"] = self.location.prefix + start_after
        if delimiter:
            parameters["Delimiter"] = delimiter
        return parameters

    def under(self, prefix: str) -> Parameters:
        check_prefix(prefix)
        return {"Bucket": self.location.bucket, "Prefix": self.location.prefix + prefix}

    def complete(self, key: str, upload_id: str, parts: tuple[Part, ...]) -> Parameters:
        numbered = [{"PartNumber": part.number, "ETag": f'"{part.etag}"'} for part in parts]
        return self.at(key) | {"UploadId": upload_id, "MultipartUpload": {"Parts": numbered}}

    def page(self, answer: Answer) -> ListPage:
        """Keys outside the prefix, and a marker for the prefix itself, are not ours to show."""
        objects = tuple(
            ObjectInfo(key, item["Size"], item["ETag"].strip('"'), item["LastModified"])
            for item in answer.get("Contents", ())
            if (key := self._relative(item["Key"]))
        )
        prefixes = (self._relative(item["Prefix"]) for item in answer.get("CommonPrefixes", ()))
        return ListPage(objects, tuple(prefix for prefix in prefixes if prefix))

    def pending(self, answer: Answer) -> tuple[PendingUpload, ...]:
        return tuple(
            PendingUpload(key, item["UploadId"], item["Initiated"])
            for item in answer.get("Uploads", ())
            if (key := self._relative(item["Key"]))
        )

    def _relative(self, full: str) -> str:
        prefix = self.location.prefix
        return full[len(prefix) :] if full.startswith(prefix) else ""


def check_range(said: str, start: int, where: str) -> None:
    """Raises `BucketRefused` where an endpoint answers with other bytes than were asked for."""
    if not said.startswith(f"bytes {start}-"):
        raise BucketRefused(
            f"{where} answers a request for a range with other bytes", hint="use another endpoint"
        )


def object_info(key: str, answer: Answer) -> ObjectInfo:
    return ObjectInfo(key, answer["ContentLength"], etag(answer), answer["LastModified"])


def etag(answer: Answer) -> str:
    return str(answer["ETag"]).strip('"')


def parts(answer: Answer) -> tuple[Part, ...]:
    return tuple(
        Part(item["PartNumber"], item["ETag"].strip('"'), item["Size"])
        for item in answer.get("Parts", ())
    )


def next_page(answer: Answer, parameters: Parameters, names: Mapping[str, str]) -> Parameters:
    """The parameters that ask for the next page, or nothing after the last.

    `names` maps the answer's marker to the request's. Raises `BucketUnreachable` where an endpoint
    cuts a listing without saying how to go on: going on regardless would never end, and stopping
    would hide objects.
    """
    if not answer.get("IsTruncated"):
        return {}
    markers = {ours: answer[theirs] for theirs, ours in names.items() if answer.get(theirs)}
    if not markers or all(parameters.get(name) == value for name, value in markers.items()):
        raise BucketUnreachable("the endpoint cut a listing and did not say where to go on")
    return parameters | markers
