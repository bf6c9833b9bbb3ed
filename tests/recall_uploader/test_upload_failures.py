"""One bucket call fails, for every call there is; the next run must end in the same place."""

from __future__ import annotations

import base64
import json
import os
import random
import shutil
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from recall_uploader.extract import Request
from recall_uploader.upload import upload
from recall_wire.errors import BucketRefused, BucketThrottled, BucketUnreachable, WriteConflict

_ROWS = 7
_MIB = 1 << 20
# Of the calls; of those whose answer is lost, others than of those that are not made.
EVERY = 1 if "RECALLD_TEST_SOAK" in os.environ else 2


@pytest.fixture(scope="module")
def big_source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """7 rows of 1 MiB that do not compress: one snapshot of two parts, one that is one PUT."""
    path = tmp_path_factory.mktemp("source") / "notes.jsonl"
    noise = random.Random(7)
    with path.open("w") as file:
        for number in range(_ROWS):
            text = base64.b64encode(noise.randbytes(_MIB)).decode()
            file.write(json.dumps({"memory_id": f"n{number}", "text": text}) + "\n")
    return path


@pytest.mark.parametrize("lost", [False, True], ids=["before", "answer lost"])
def test_every_call_may_fail_once(  # noqa: PLR0917
    lost: bool, instance_of: Any, big_source: Path, bucket: Any, view: Any, faulty: Any
) -> None:
    request = Request(big_source)
    # Noise this size takes the rules longer than all calls together.
    instance_of = partial(instance_of, redact=False)
    calm = faulty()
    upload(instance_of(reached=calm, snapshot_max_rows=6), request)
    expected = view.said()
    assert len(expected) == _ROWS
    assert any(call.startswith("upload_part") for call in calm.calls)

    for number in range(1 + lost % EVERY, len(calm.calls) + 1, EVERY):
        _empty(bucket)
        state = f"state-{number}"
        shaky = faulty(fail_at=number, lost=lost)
        first = _attempt(instance_of(reached=shaky, snapshot_max_rows=6, state=state), request)
        second = upload(instance_of(snapshot_max_rows=6, state=state), request)

        where = f"call {number}: {shaky.calls[number - 1]}"
        assert view.said() == expected, where
        assert view.seqs() == [1, 2], where
        assert view.head_seq() == 2, where
        assert view.pending_uploads() == 0, where
        assert {first, second.status} >= {"committed"}, where
        assert _waiting(instance_of(state=state).folder) == [], where
        again = faulty()
        assert upload(instance_of(reached=again, state=state), request).status == "unchanged"
        assert again.calls == [], where
        shutil.rmtree(instance_of(state=state).folder)


@pytest.mark.parametrize(
    "error",
    [BucketUnreachable("cut"), WriteConflict("another write"), BucketThrottled("slow down")],
    ids=["unreachable", "conflict", "throttled"],
)
def test_a_run_with_retries_survives_any_one_failure_by_itself(
    error: Exception, instance_of: Any, notes: Path, view: Any, faulty: Any
) -> None:
    calm = faulty()
    upload(instance_of(reached=calm), Request(notes))

    for number in range(1, len(calm.calls) + 1):
        _empty(view.bucket)
        shaky = faulty(fail_at=number, error=error)
        instance = instance_of(reached=shaky, retries=3, state=f"state-{number}")

        assert upload(instance, Request(notes)).status == "committed"
        assert (view.seqs(), len(view.records())) == ([1], 10)


def test_a_refusal_is_not_tried_again_and_loses_nothing(
    instance_of: Any, database: Any, view: Any, faulty: Any, waiting: Any
) -> None:
    upload(instance_of(), Request(database.path))
    database.add(11, 11)
    closed = faulty(fail_at=3, error=BucketRefused("no permission to write"))

    with pytest.raises(BucketRefused):
        upload(instance_of(reached=closed, retries=5), Request(database.path))
    assert len(closed.calls) == 3
    assert waiting() == ["sending/000000000002"]
    assert upload(instance_of(), Request(database.path)).seq == 2
    assert view.seqs() == [1, 2]


@pytest.mark.parametrize("head_too", [False, True], ids=["data", "data and head"])
def test_a_snapshot_that_fails_in_every_run_holds_back_none_before_it(  # noqa: PLR0917
    head_too: bool, instance_of: Any, notes: Path, view: Any, faulty: Any, waiting: Any
) -> None:
    stuck = _stuck(faulty(), "/000000000003/", "heads/" if head_too else "/000000000003/")

    for _ in range(2):
        result = upload(instance_of(reached=stuck, snapshot_max_rows=4), Request(notes))
        assert (result.status, result.seq) == ("queued", 3)
        assert "wait in the outbox: 3 timed out" in result.warnings[0]
        if head_too:
            assert result.rows == 10
            assert len(waiting()) == 3
        else:
            assert view.head_seq() == 2
            assert result.rows == 2
            assert waiting() == ["sending/000000000003"]

    assert upload(instance_of(), Request(notes)).status == "committed"
    assert (view.head_seq(), view.seqs(), waiting()) == (3, [1, 2, 3], [])
    assert len(view.records()) == 10


def _stuck(bucket: Any, *parts: str) -> Any:
    """Nothing is written any more to a key with one of these parts."""
    call = bucket._call

    def refuse(name: str, *arguments: Any, **options: Any) -> Any:
        if name == "put":
            for part in parts:
                if part in arguments[0]:
                    raise BucketUnreachable(f"{part.strip('/').lstrip('0')} timed out")
        return call(name, *arguments, **options)

    bucket._call = refuse
    return bucket


def _attempt(instance: Any, request: Request) -> str:
    try:
        return upload(instance, request).status
    except BucketUnreachable:
        return "no state yet"


def _empty(bucket: Any) -> None:
    for page in list(bucket.list("")):
        for item in page.objects:
            bucket.delete(item.key)


def _waiting(folder: Path) -> list[Path]:
    names = ("new", "sending", "failed")
    return [path for name in names for path in (folder / "outbox" / name).iterdir()]
