"""The policies in docs/uploader.md are enough, and not more than that."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import pytest

from recall_uploader.doctor.examine import examine
from recall_uploader.extract import Request
from recall_uploader.upload import upload
from recall_wire.buckets import open_bucket
from recall_wire.errors import BucketRefused

DOCS = Path(__file__).parents[3] / "docs/uploader.md"


def policy(name: str, bucket: str) -> Any:
    """As it stands in the documentation, for a bucket of this name."""
    found = re.search(rf"<!-- policy: {name} -->\n```json\n(.*?)```", DOCS.read_text(), re.DOTALL)
    assert found
    return json.loads(found.group(1).replace(":::memories", f":::{bucket}"))


def statement(name: str, sid: str) -> Any:
    return next(item for item in policy(name, "b")["Statement"] if item["Sid"] == sid)


def large(path: Path) -> Path:
    text = os.urandom(3_500_000).hex()
    path.write_text(json.dumps({"memory_id": "large", "text": text}) + "\n")
    return path


def test_a_system_uploads_with_its_policy_and_nothing_more(
    guarded_place: Any, instance_at: Any, view_of: Any, tmp_path: Path
) -> None:
    keys = guarded_place.user(policy("instance", guarded_place.bucket))
    instance = instance_at(guarded_place, keys)
    source = large(tmp_path / "notes.jsonl")

    result = upload(instance, Request(source))
    source.write_text(source.read_text() + '{"memory_id": "small", "text": "one more"}\n')
    second = upload(instance, Request(source))

    assert (result.status, second.status, second.seq) == ("committed", "committed", 2)
    assert [*result.warnings, *second.warnings] == []
    root = open_bucket(guarded_place.url, guarded_place.root)
    assert view_of(root).head_seq() == 2
    root.close()


def test_an_upload_that_was_cut_goes_on(guarded_place: Any) -> None:
    keys = guarded_place.user(policy("instance", guarded_place.bucket))
    bucket = open_bucket(guarded_place.url, keys)
    key = "systems/laptop/snapshots/000000000001/data"
    upload_id = bucket.create_multipart(key)
    part = bucket.upload_part(key, upload_id, 1, b"x")
    assert [item.upload_id for item in bucket.list_multipart(key)] == [upload_id]
    assert bucket.list_parts(key, upload_id) == (part,)
    bucket.abort_multipart(key, upload_id)
    bucket.close()


@pytest.mark.parametrize(
    "call",
    [
        lambda bucket: bucket.put("systems/desktop/snapshots/000000000001/manifest.json", b"x"),
        lambda bucket: bucket.put("systems/laptop-2/note", b"x"),
        lambda bucket: bucket.put("heads/desktop", b"x"),
        lambda bucket: bucket.put("acks/laptop", b"x"),
        lambda bucket: bucket.put("hub/one/backup", b"x"),
        lambda bucket: bucket.get("heads/desktop", max_bytes=1000),
        lambda bucket: bucket.create_multipart("systems/desktop/part"),
        lambda bucket: bucket.delete("systems/laptop/snapshots/000000000001/manifest.json"),
        lambda bucket: bucket.delete("heads/laptop"),
    ],
)
def test_a_system_is_refused_everywhere_else(guarded_place: Any, call: Any) -> None:
    root = open_bucket(guarded_place.url, guarded_place.root)
    root.put("heads/desktop", b"{}")
    root.close()
    keys = guarded_place.user(policy("instance", guarded_place.bucket))
    bucket = open_bucket(guarded_place.url, keys)
    with pytest.raises(BucketRefused):
        call(bucket)
    bucket.close()


class Recording:
    """A bucket that remembers under which prefixes it was listed."""

    def __init__(self, inner: Any) -> None:
        self.inner, self.listed = inner, set[str]()

    def list(self, prefix: str, **options: Any) -> Iterator[Any]:
        self.listed.add(prefix)
        return self.inner.list(prefix, **options)  # type: ignore[no-any-return]

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)


def test_every_listing_of_an_upload_is_one_that_the_condition_allows(
    instance_of: Any, bucket: Any, notes: Path
) -> None:
    """What S3 checks, and the test's server does not."""
    recording = Recording(bucket)
    upload(instance_of(reached=recording), Request(notes))
    allowed = statement("instance", "OwnKeys")["Condition"]["StringLike"]["s3:prefix"]

    assert recording.listed
    for prefix in recording.listed:
        assert any(fnmatchcase(prefix, pattern) for pattern in allowed), prefix
    for elsewhere in ("", "systems/", "heads/", "systems/laptop-2/", "heads/laptop-2"):
        assert not any(fnmatchcase(elsewhere, pattern) for pattern in allowed), elsewhere


def test_the_doctor_finds_nothing_wrong_with_the_policy_but_what_the_server_does_not_check(
    guarded_place: Any, instance_at: Any, notes: Path
) -> None:
    keys = guarded_place.user(policy("instance", guarded_place.bucket))
    instance = instance_at(guarded_place, keys, source=notes)
    upload(instance, Request(notes))

    found = {item.check: item for item in examine(instance)}

    assert found["bucket"].level == "ok"
    assert found["identity"].level == "ok"
    assert {"write", "read", "read back", "list", "multipart", "delete"}.isdisjoint(found)
    # The condition on s3:prefix: it is the only thing the doctor may find here.
    assert found["reach"].says == (
        "its credentials also list every system's keys and list the whole bucket"
    )


def test_the_hub_has_what_it_needs_and_writes_no_snapshots(guarded_place: Any) -> None:
    keys = guarded_place.user(policy("hub", guarded_place.bucket))
    bucket = open_bucket(guarded_place.url, keys)
    assert [page.objects for page in bucket.list("heads/")] == [()]
    bucket.put("acks/laptop", b"{}")
    bucket.put("hub/one/backup", b"x")
    bucket.delete("hub/one/backup")
    for key in ("heads/laptop", "systems/laptop/snapshots/000000000001/manifest.json"):
        with pytest.raises(BucketRefused):
            bucket.put(key, b"x")
    bucket.close()
