"""Every check, each with the thing it is there to find."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import threading
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from recall_uploader.doctor import machine
from recall_uploader.doctor.examine import examine
from recall_uploader.extract import Request
from recall_uploader.state import State
from recall_uploader.upload import upload
from recall_wire.buckets import open_bucket
from recall_wire.doctor.finding import Finding
from recall_wire.errors import BucketRefused, BucketUnreachable

SECRET = "wJalrXUtnFEMIK7MDENGbPxRfiCYEXAMPLEKEY"  # pragma: allowlist secret


def at(found: list[Finding], check: str) -> Finding:
    """The worst one of that name. Whatever is wrong, it is said what to do."""
    assert [f for f in found if f.level in ("warning", "problem") and not f.remedy] == []
    order = ("problem", "warning", "note", "ok")
    return min((f for f in found if f.check == check), key=lambda f: order.index(f.level))


@pytest.fixture
def real_clock(instance_of: Any, bucket: Any, notes: Path) -> Any:
    """An instance at a folder bucket; the folder's times are the real clock's."""

    def make(**settings: Any) -> Any:
        known = {"bucket_url": bucket.url, "source": notes}
        return replace(instance_of(**{**known, **settings}), clock=lambda: datetime.now(UTC))

    return make


def test_a_healthy_instance_has_no_problem_and_nothing_stays_behind(
    real_clock: Any, notes: Path, view: Any
) -> None:
    upload(real_clock(), Request(notes))
    before = view.keys()

    found = examine(real_clock())

    assert {f.level for f in found} <= {"ok", "note"}
    assert at(found, "source").says.endswith("records-jsonl, 10 memories")
    assert at(found, "identity").says.startswith("the bucket ends at snapshot 1")
    assert view.keys() == before
    assert view.pending_uploads() == 0


def test_before_the_first_run_there_is_nothing_to_fear(real_clock: Any, tmp_path: Path) -> None:
    found = examine(real_clock())
    assert at(found, "state").level == "note"
    assert not (tmp_path / "state").exists()
    assert not [f for f in found if f.level == "problem"]


def test_credentials_that_may_do_everything_reach_too_far(
    open_place: Any, instance_at: Any
) -> None:
    other = open_bucket(open_place.url, open_place.root)
    other.put("heads/desktop", b"{}")
    found = at(examine(instance_at(open_place)), "reach")
    assert found.level == "warning"
    for part in (
        "list every system's keys",
        "list the whole bucket",
        "read other systems' heads",
        "write under other systems' prefixes",
        "write other systems' heads",
        "write the hub's own objects",
    ):
        assert part in found.says
    assert "docs/uploader.md" in found.remedy
    # Looking wrote nothing outside its own prefix, and left nothing in it.
    assert [item.key for page in other.list("") for item in page.objects] == ["heads/desktop"]
    assert other.list_multipart("") == ()
    other.close()


def test_of_r2_a_wide_reach_is_expected(open_place: Any, instance_at: Any) -> None:
    address = "https://account.r2.cloudflarestorage.com"
    found = at(examine(instance_at(open_place, s3_endpoint_url=address)), "reach")
    assert "scoped to buckets, so this is expected" in found.remedy


def test_a_policy_that_forgot_the_slash_lets_a_like_named_system_in(
    guarded_place: Any, instance_at: Any
) -> None:
    bucket = f"arn:aws:s3:::{guarded_place.bucket}"
    allow = [
        {"Effect": "Allow", "Action": "s3:*", "Resource": f"{bucket}/systems/laptop*"},
        {"Effect": "Allow", "Action": "s3:*", "Resource": f"{bucket}/heads/laptop"},
        {"Effect": "Allow", "Action": "s3:*", "Resource": f"{bucket}/acks/laptop"},
        {"Effect": "Allow", "Action": "s3:ListBucketMultipartUploads", "Resource": bucket},
    ]
    keys = guarded_place.user({"Version": "2012-10-17", "Statement": allow})
    found = examine(instance_at(guarded_place, keys))
    assert at(found, "reach").says == "its credentials also write under other systems' prefixes"
    assert at(found, "list").level == "problem"


def test_no_permission_at_all_is_one_problem_with_a_remedy(
    guarded_place: Any, instance_at: Any
) -> None:
    found = at(examine(instance_at(guarded_place, guarded_place.user(None))), "bucket")
    assert (found.level, "AccessDenied" in found.says) == ("problem", True)
    assert found.remedy


def test_wrong_keys_are_one_problem_and_are_not_said(guarded_place: Any, instance_at: Any) -> None:
    keys = replace(guarded_place.root, secret_access_key=SECRET)
    found = examine(
        instance_at(guarded_place, keys, s3_access_key_id="k", s3_secret_access_key=SECRET)
    )
    assert "secret key does not fit" in at(found, "bucket").says
    assert SECRET not in json.dumps([f.as_dict() for f in found])


def test_without_a_head_to_write_nothing_arrives(guarded_place: Any, instance_at: Any) -> None:
    bucket = f"arn:aws:s3:::{guarded_place.bucket}"
    allow = [
        {"Effect": "Allow", "Action": "s3:*", "Resource": f"{bucket}/systems/laptop/*"},
        {"Effect": "Allow", "Action": "s3:List*", "Resource": bucket},
    ]
    keys = guarded_place.user({"Version": "2012-10-17", "Statement": allow})
    found = examine(instance_at(guarded_place, keys))
    assert at(found, "write").says == "heads/laptop may not be written"
    assert "acks/laptop cannot be read" in " ".join(f.says for f in found)


class Poor:
    """A bucket with one thing wrong with it."""

    def __init__(self, inner: Any, **wrong: Any) -> None:
        self.inner, self.wrong = inner, wrong

    def __getattr__(self, name: str) -> Any:
        return self.wrong.get(name) or getattr(self.inner, name)


def refused(*_: Any, **__: Any) -> Any:
    raise BucketRefused("cannot do that: permission is missing (AccessDenied)", hint="allow it")


def test_what_may_not_be_deleted_is_a_note(bucket: Any, real_clock: Any) -> None:
    instance = replace(real_clock(), connect=lambda: Poor(bucket, delete=refused))
    found = examine(instance)
    assert at(found, "delete").level == "note"
    assert at(found, "bucket").level == "ok"


def test_a_bucket_that_keeps_nothing(bucket: Any, real_clock: Any) -> None:
    instance = replace(real_clock(), connect=lambda: Poor(bucket, put=lambda *_, **__: "etag"))
    found = at(examine(instance), "read back")
    assert found.level == "problem"
    assert "said that it stored an object" in found.says


def test_an_endpoint_that_overwrites(bucket: Any, real_clock: Any) -> None:
    def put(key: str, data: bytes, *, if_absent: bool = False) -> str:
        return str(bucket.put(key, data))

    found = at(
        examine(replace(real_clock(), connect=lambda: Poor(bucket, put=put))), "conditional write"
    )
    assert found.level == "warning"


def test_where_uploads_cannot_be_listed_large_files_still_arrive(
    bucket: Any, real_clock: Any
) -> None:
    instance = replace(real_clock(), connect=lambda: Poor(bucket, list_multipart=refused))
    found = at(examine(instance), "multipart")
    assert found.level == "warning"
    assert "begins anew" in found.says


def test_where_parts_cannot_be_listed_a_cut_upload_does_not_go_on(
    bucket: Any, real_clock: Any
) -> None:
    instance = replace(real_clock(), connect=lambda: Poor(bucket, list_parts=refused))
    found = at(examine(instance), "multipart")
    assert (found.level, "cut cannot go on" in found.says) == ("warning", True)


def test_where_parts_are_refused_large_files_do_not(bucket: Any, real_clock: Any) -> None:
    instance = replace(real_clock(), connect=lambda: Poor(bucket, create_multipart=refused))
    assert at(examine(instance), "multipart").level == "problem"


def test_a_bucket_that_does_not_answer(real_clock: Any) -> None:
    def gone() -> Any:
        raise BucketUnreachable("no answer from s3://memories")

    found = examine(replace(real_clock(), connect=gone))
    assert at(found, "bucket").level == "problem"
    assert at(found, "identity").level == "warning"


def test_a_bucket_that_hangs_does_not_hang_the_doctor(bucket: Any, real_clock: Any) -> None:
    released = threading.Event()

    def hang(*_: Any, **__: Any) -> Any:
        released.wait(60)
        raise BucketUnreachable("at last")

    instance = replace(real_clock(), connect=lambda: Poor(bucket, put=hang, get=hang))
    found = examine(instance, limit_s=1.0)
    released.set()
    assert at(found, "bucket").says == "there was no answer within 1 s"
    assert at(found, "settings").level == "ok"


@pytest.mark.parametrize(
    ("off", "side"), [(timedelta(minutes=7), "ahead"), (-timedelta(days=365), "behind")]
)
def test_a_clock_that_is_off(off: timedelta, side: str, real_clock: Any) -> None:
    instance = replace(real_clock(), clock=lambda: datetime.now(UTC) + off)
    found = at(examine(instance), "clock")
    assert found.level == "warning"
    assert side in found.says
    assert "NTP" in found.remedy


def test_a_cloned_laptop(real_clock: Any, notes: Path) -> None:
    upload(real_clock(), Request(notes))
    found = examine(real_clock(machine="machine-b"))
    assert at(found, "system").level == "problem"
    assert "recall init --adopt" in at(found, "system").remedy


def test_a_copied_state_folder_and_an_emptied_bucket(
    real_clock: Any, notes: Path, tmp_path: Path, bucket: Any
) -> None:
    upload(real_clock(), Request(notes))
    shutil.copytree(tmp_path / "state", tmp_path / "copy")
    notes.write_text(notes.read_text() + '{"memory_id": "new", "text": "one"}\n')
    upload(real_clock(), Request(notes))

    found = at(examine(real_clock(state="copy")), "identity")
    assert "never wrote" in found.says
    assert (found.level, "--adopt" in found.remedy) == ("problem", True)

    for page in list(bucket.list("")):
        for item in page.objects:
            bucket.delete(item.key)
    assert "was restored, emptied" in at(examine(real_clock()), "identity").says


def test_another_run_at_work_is_no_problem_and_is_not_disturbed(
    real_clock: Any, notes: Path, tmp_path: Path
) -> None:
    upload(real_clock(), Request(notes))
    with (tmp_path / "state/lock").open() as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        found = examine(real_clock())
    assert at(found, "state").says.startswith("another recall run is at work")
    assert at(found, "identity").level == "note"
    assert not [f for f in found if f.level == "problem"]


def test_a_state_that_is_damaged_or_newer(real_clock: Any, notes: Path, tmp_path: Path) -> None:
    upload(real_clock(), Request(notes))
    path = tmp_path / "state/state.sqlite"
    state = State.open(path)
    state.connection.execute("PRAGMA user_version = 99")
    state.close()
    found = at(examine(real_clock()), "state")
    assert (found.level, found.remedy) == ("problem", "upgrade recall on this machine")

    path.write_bytes(b"x" * 5000)
    found = at(examine(real_clock()), "state")
    assert (found.level, "is damaged" in found.says) == ("warning", True)
    assert path.read_bytes() == b"x" * 5000


def test_a_state_folder_that_others_read_or_that_is_full(
    real_clock: Any, notes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    upload(real_clock(), Request(notes))
    (tmp_path / "state").chmod(0o755)
    monkeypatch.setattr(machine, "FREE_MIN_BYTES", 1 << 60)
    said = [f for f in examine(real_clock()) if f.check == "state"]
    assert any(f.remedy.startswith("chmod 700") for f in said)
    assert any("are free" in f.says for f in said)
    assert {f.level for f in said} == {"warning"}


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (None, "there is no file or folder"),
        (b"", ""),
        (b"\x00\xff" * 5000, ""),
        (b'{"memory_id": "a"', ""),
    ],
)
def test_a_source_that_is_gone_or_is_none(
    content: bytes | None, says: str, real_clock: Any, tmp_path: Path
) -> None:
    path = tmp_path / "bad.jsonl"
    if content is not None:
        path.write_bytes(content)
    found = at(examine(real_clock(source=path)), "source")
    assert found.level != "warning"
    assert says in found.says
    if content:
        assert found.level == "problem"


def test_a_file_that_vanishes_ends_one_group_of_checks_alone(
    real_clock: Any, tmp_path: Path
) -> None:
    found = examine(real_clock(), tmp_path / "gone.yaml")
    assert at(found, "settings").says.endswith("gone.yaml: No such file or directory")
    assert at(found, "bucket").level == "ok"


def test_no_source_is_a_warning(real_clock: Any) -> None:
    assert at(examine(real_clock(source=None)), "source").level == "warning"
    found = at(examine(real_clock(source=None, sources=())), "source")
    assert (found.level, "lists no" in found.says or "list no" in found.says) == ("warning", True)


def test_what_waits_and_a_way_that_rests(
    real_clock: Any, instance_of: Any, notes: Path, bucket: Any
) -> None:
    def gone() -> Any:
        raise BucketUnreachable("no answer")

    upload(real_clock(), Request(notes))
    notes.write_text(notes.read_text() + '{"memory_id": "new", "text": "one"}\n')
    away = replace(real_clock(), connect=gone)
    for _ in range(3):
        upload(away, Request(notes))

    found = examine(real_clock())
    assert at(found, "outbox").says.startswith("1 snapshots wait")
    assert at(found, "breaker").says.startswith("the bucket failed 3 times")
    nearly = examine(real_clock(outbox_max_bytes=1 << 20))
    assert at(nearly, "outbox").level == "note"


def test_without_a_bucket_or_a_hub_nothing_can_arrive(instance_of: Any) -> None:
    instance = replace(instance_of(), connect=None)
    found = examine(instance)
    assert at(found, "bucket").level == "problem"
    assert "recall init" in at(found, "bucket").remedy


def test_unredacted_and_a_readable_secret(real_clock: Any, tmp_path: Path) -> None:
    file = tmp_path / "recall.yaml"
    file.write_text("redact: false\n")
    file.chmod(0o644)
    instance = real_clock(redact=False, hub_token=SECRET)
    found = examine(instance, file)
    assert at(found, "redaction").level == "warning"
    assert at(found, "settings").remedy == f"chmod 600 {file}"
    assert SECRET not in json.dumps([f.as_dict() for f in found])


def test_a_state_folder_that_is_a_file(real_clock: Any, tmp_path: Path) -> None:
    (tmp_path / "state").write_text("")
    found = at(examine(real_clock()), "state")
    assert (found.level, "RECALL_STATE_DIR" in found.remedy) == ("problem", True)
    assert os.path.isfile(tmp_path / "state")
