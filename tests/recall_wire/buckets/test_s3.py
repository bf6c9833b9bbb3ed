"""What only the blocking S3 backend does: multipart listings by page, and two ways of signing."""

from __future__ import annotations

import hashlib

from cut_server import cut_server, options
from s3_answers import Answer, answering

from recall_wire.buckets import open_bucket


def _page(kind: str, items: str, more: str = "") -> Answer:
    cut = "true" if more else "false"
    body = f"<{kind}><IsTruncated>{cut}</IsTruncated>{more}{items}</{kind}>"
    return Answer(raw=f'<?xml version="1.0"?>{body}'.encode())


def _pending_page(upload_id: str, more: str = "") -> Answer:
    item = (
        f"<Upload><Key>k</Key><UploadId>{upload_id}</UploadId>"
        "<Initiated>2026-01-01T00:00:00.000Z</Initiated></Upload>"
    )
    return _page("ListMultipartUploadsResult", item, more)


def test_uploads_and_parts_are_listed_page_by_page() -> None:
    more = "<NextKeyMarker>k</NextKeyMarker><NextUploadIdMarker>u1</NextUploadIdMarker>"
    with answering(_pending_page("u1", more), _pending_page("u2")) as (url, seen):
        found = open_bucket("s3://memories", options(url)).list_multipart("k")
    assert [upload.upload_id for upload in found] == ["u1", "u2"]
    assert "upload-id-marker=u1" in seen[1]
    assert "key-marker=k" in seen[1]
    part = '<Part><PartNumber>{}</PartNumber><ETag>"e"</ETag><Size>5</Size></Part>'
    first = _page(
        "ListPartsResult", part.format(1), "<NextPartNumberMarker>1</NextPartNumberMarker>"
    )
    with answering(first, _page("ListPartsResult", part.format(2))) as (url, seen):
        parts = open_bucket("s3://memories", options(url)).list_parts("k", "u")
    assert [found_part.number for found_part in parts] == [1, 2]
    assert "part-number-marker=1" in seen[1]


def test_over_http_a_part_is_hashed_once_and_what_commits_is_signed_in_full() -> None:
    with cut_server() as (url, app):
        bucket = open_bucket("s3://memories", options(url))
        bucket.upload_part("k", bucket.create_multipart("k"), 1, bytearray(b"part"))
        bucket.put("manifest.json", b"{}", if_absent=True)
        bucket.close()
    said: dict[bool, set[str]] = {True: set(), False: set()}
    for request in app.requests:
        if request.method == "PUT" and request.bytes:
            said[bool(request.part)].add(request.content_sha256)
    assert said[True] == {"UNSIGNED-PAYLOAD"}
    assert said[False] == {hashlib.sha256(b"{}").hexdigest()}
