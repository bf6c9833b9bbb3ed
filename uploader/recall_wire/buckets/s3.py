"""S3 for instances: boto3, blocking, safe to call from several threads."""

from __future__ import annotations

import io
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import boto3

from recall_wire.buckets import receiving, s3_requests
from recall_wire.buckets.base import ListPage, ObjectInfo, Part, PendingUpload
from recall_wire.buckets.location import S3Location
from recall_wire.buckets.options import S3Options
from recall_wire.buckets.receiving import CHUNK_BYTES, NewFile
from recall_wire.buckets.s3_errors import translated
from recall_wire.buckets.s3_requests import Parameters, S3Requests, next_page
from recall_wire.buckets.s3_session import client_arguments, part_arguments, session_arguments
from recall_wire.errors import ObjectNotFound

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client


class S3Bucket:
    """See `base.Bucket`. The clients, one for parts and one for the rest, are made at the first
    call.
    """

    def __init__(self, location: S3Location, options: S3Options) -> None:
        self._options = options
        self._requests = S3Requests(location)
        self._lock = threading.Lock()
        self._made: _Clients | None = None
        self.url = location.url

    def __repr__(self) -> str:
        return f"S3Bucket({self.url!r})"

    def list(
        self, prefix: str, *, start_after: str = "", delimiter: str = ""
    ) -> Iterator[ListPage]:
        ask = self._requests.list(prefix, start_after, delimiter)
        while ask:
            with translated(f"list {prefix}", self.url):
                answer = self._client.list_objects_v2(**ask)
                page = self._requests.page(answer)
            yield page
            ask = next_page(answer, ask, {"NextContinuationToken": "ContinuationToken"})

    def get(self, key: str, *, max_bytes: int) -> bytes:
        with self._opened(self._requests.at(key), key) as answer:
            receiving.check_limit(answer.bytes, max_bytes, key)
            return receiving.collect(answer.chunks(), max_bytes=max_bytes, what=key)

    def get_range(self, key: str, start: int, length: int) -> bytes:
        ask = self._requests.range(key, start, length)
        with self._opened(ask, key) as answer:
            s3_requests.check_range(answer.range, start, self.url)
            data = receiving.collect(answer.chunks(), max_bytes=length, what=key)
        return receiving.check_length(data, length, key)

    def head(self, key: str) -> ObjectInfo:
        at = self._requests.at(key)
        with translated(f"look up {key}", self.url):
            return s3_requests.object_info(key, self._client.head_object(**at))

    def download(self, key: str, path: Path, *, max_bytes: int) -> str:
        opened = self._opened(self._requests.at(key), key)
        with opened as answer, NewFile(path, max_bytes=max_bytes, what=key) as file:
            file.expect(answer.bytes)
            for chunk in answer.chunks():
                file.write(chunk)
            return file.sha256()

    def put(self, key: str, data: bytes, *, if_absent: bool = False) -> str:
        at = self._requests.put(key, if_absent=if_absent)
        with translated(f"write {key}", self.url):
            return s3_requests.etag(self._client.put_object(**at, Body=_body(data)))

    def delete(self, key: str) -> None:
        at = self._requests.at(key)
        try:
            with translated(f"delete {key}", self.url):
                self._client.delete_object(**at)
        except ObjectNotFound:
            return  # S3 itself answers 204; others say that it was not there

    def create_multipart(self, key: str) -> str:
        at = self._requests.at(key)
        with translated(f"start an upload of {key}", self.url):
            return str(self._client.create_multipart_upload(**at)["UploadId"])

    def upload_part(self, key: str, upload_id: str, number: int, data: bytes | bytearray) -> Part:
        ask = self._requests.at(key) | {"UploadId": upload_id, "PartNumber": number}
        ask["Body"] = _body(data)
        with translated(f"upload part {number} of {key}", self.url):
            answer = self._clients.parts.upload_part(**ask)
            return Part(number, s3_requests.etag(answer), len(data))

    def complete_multipart(self, key: str, upload_id: str, parts: tuple[Part, ...]) -> str:
        ask = self._requests.complete(key, upload_id, parts)
        with translated(f"complete the upload of {key}", self.url):
            return s3_requests.etag(self._client.complete_multipart_upload(**ask))

    def abort_multipart(self, key: str, upload_id: str) -> None:
        at = self._requests.at(key)
        try:
            with translated(f"abort an upload of {key}", self.url):
                self._client.abort_multipart_upload(**at, UploadId=upload_id)
        except ObjectNotFound:
            return

    def list_parts(self, key: str, upload_id: str) -> tuple[Part, ...]:
        ask = self._requests.at(key) | {"UploadId": upload_id}
        found: tuple[Part, ...] = ()
        while ask:
            with translated(f"list the parts of {key}", self.url):
                answer = self._client.list_parts(**ask)
                found += s3_requests.parts(answer)
            ask = next_page(answer, ask, {"NextPartNumberMarker": "PartNumberMarker"})
        return found

    def list_multipart(self, prefix: str) -> tuple[PendingUpload, ...]:
        ask = self._requests.under(prefix)
        found: tuple[PendingUpload, ...] = ()
        while ask:
            with translated(f"list the uploads under {prefix}", self.url):
                answer = self._client.list_multipart_uploads(**ask)
                found += self._requests.pending(answer)
            markers = {"NextKeyMarker": "KeyMarker", "NextUploadIdMarker": "UploadIdMarker"}
            ask = next_page(answer, ask, markers)
        return found

    def close(self) -> None:
        with self._lock:
            made, self._made = self._made, None
        if made is not None:
            made.most.close()
            made.parts.close()

    @property
    def _client(self) -> S3Client:
        return self._clients.most

    @property
    def _clients(self) -> _Clients:
        with self._lock:
            if self._made is None:
                self._made = _connect(self._options)
            return self._made

    def _opened(self, ask: Parameters, key: str) -> _Body:
        with translated(f"read {key}", self.url):
            return _Body(self._client.get_object(**ask), f"read {key}", self.url)


@dataclass(frozen=True, slots=True)
class _Clients:
    """Signing is a client's setting, not a request's; the second one costs 0.3 MiB."""

    most: S3Client
    parts: S3Client


def _connect(options: S3Options) -> _Clients:
    session = boto3.Session(**session_arguments(options))
    arguments = client_arguments(options, chain_region=session.region_name)
    clients = (session.client(**arguments), session.client(**part_arguments(arguments)))
    return _Clients(*(cast("S3Client", client) for client in clients))


class _Body:
    """An object being read. Closing it early drops the connection instead of draining it."""

    def __init__(self, answer: Any, what: str, where: str) -> None:
        self.bytes: int = answer["ContentLength"]
        self.range: str = answer.get("ContentRange", "")
        self._stream = answer["Body"]
        self._what = what
        self._where = where

    def __enter__(self) -> _Body:
        return self

    def __exit__(self, *_: object) -> None:
        self._stream.close()

    def chunks(self) -> Iterator[bytes]:
        """To the end and once more: only the empty read compares the length with the header."""
        while True:
            with translated(self._what, self._where):
                chunk: bytes = self._stream.read(CHUNK_BYTES)
            if not chunk:
                return
            yield chunk


def _body(data: bytes | bytearray) -> io.BytesIO | bytearray:
    """botocore copies plain bytes once more to send them; a bytearray goes out in one call."""
    return data if isinstance(data, bytearray) else io.BytesIO(data)
