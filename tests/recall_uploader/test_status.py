"""What is delivered, merged, quarantined and waiting, whatever state things are in."""

from __future__ import annotations

import fcntl
import json
import threading
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from recall_uploader.commands.status import _facts
from recall_uploader.extract import Request
from recall_uploader.state import State
from recall_uploader.status import Status, status_of
from recall_uploader.upload import upload
from recall_wire import layout
from recall_wire.doctor.facts import print_facts
from recall_wire.errors import BucketUnreachable
from recall_wire.manifest import Ack, QuarantinedSeq


@pytest.fixture
def tell(bucket: Any) -> Any:
    """Write an ack, as the hub does."""

    def write(complete_to: int, *missing: tuple[int, int], **quarantined: str) -> None:
        bad = tuple(
            QuarantinedSeq(seq=int(seq.removeprefix("n")), reason=reason)
            for seq, reason in quarantined.items()
        )
        ack = Ack(complete_to=complete_to, missing=missing, quarantined=bad)
        bucket.put(layout.ack_key("laptop"), ack.to_bytes())

    return write


def gone() -> Any:
    raise BucketUnreachable("no answer")


def said(status: Status, instance: Any, capsys: pytest.CaptureFixture[str]) -> str:
    print_facts(_facts(status, instance.clock()))
    return capsys.readouterr().out


def test_with_no_state_yet_nothing_is_made(
    instance_of: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    status = status_of(instance_of())
    assert (status.system_id, status.state, status.delivered_seq) == ("laptop", "none", 0)
    assert (status.hub.told, status.hub.complete_to, status.last_run_at) == ("now", None, None)
    assert not (tmp_path / "state").exists()
    text = said(status, instance_of(), capsys)
    assert "none yet" in text
    assert "delivered  nothing yet" in text
    assert "last run   never" in text


def test_delivered_merged_and_missing(
    instance_of: Any, notes: Path, tell: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    upload(instance_of(snapshot_max_rows=4), Request(notes))
    tell(1, (2, 2))
    status = status_of(instance_of())
    assert (status.delivered_seq, status.next_seq, status.outbox.snapshots) == (3, 4, 0)
    assert (status.hub.complete_to, status.hub.missing) == (1, ((2, 2),))
    assert status.delivered_at is not None
    text = said(status, instance_of(), capsys)
    assert "has everything up to snapshot 1\n" in text
    assert "misses 2\n" in text


def test_quarantined_rows_are_followed_until_they_are_sent_again(
    instance_of: Any,
    notes: Path,
    tell: Any,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    upload(instance_of(), Request(notes))
    tell(0, n1="no such column")

    def again() -> list[str]:
        return [item.again for item in status_of(instance_of()).hub.quarantined]

    assert again() == ["next upload"]
    text = said(status_of(instance_of()), instance_of(), capsys)
    assert "could not take snapshot 1: no such column; its rows are sent again by the next" in text

    with closing(State.open(tmp_path / "state/state.sqlite")) as state:
        state.learn_quarantined(1, "no such column")  # by a run that did not read the source
    assert again() == ["next upload"]

    upload(instance_of(), Request(notes))
    assert again() == ["sent"]

    for seq in (2, 3):
        tell(0, **{f"n{n}": "no such column" for n in range(1, seq + 1)})
        upload(instance_of(), Request(notes))
    assert again() == ["sent", "sent", "no"]


def test_offline_the_last_ack_counts_and_is_said_to_be_old(
    instance_of: Any, notes: Path, tell: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    upload(instance_of(), Request(notes))
    away = replace(instance_of(), connect=gone)
    assert status_of(away).hub.told == "never"
    assert "does not answer now" in said(status_of(away), away, capsys)

    tell(1)
    upload(instance_of(), Request(notes))
    status = status_of(away)
    assert (status.hub.told, status.hub.complete_to) == ("before", 1)
    assert "(as read before: it does not answer now)" in said(status, away, capsys)


def test_what_waits_and_which_way_fails(
    instance_of: Any, notes: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    upload(instance_of(), Request(notes))
    notes.write_text(notes.read_text() + '{"memory_id": "new", "text": "one"}\n')
    away = replace(instance_of(), connect=gone)
    for _ in range(3):
        upload(away, Request(notes))

    status = status_of(instance_of())
    assert (status.outbox.snapshots, status.outbox.rows) == (1, 1)
    assert status.outbox.bytes > 0
    assert [(way.name, way.status, way.failures) for way in status.ways] == [("cloud", "open", 3)]
    text = said(status, instance_of(), capsys)
    assert "1 snapshot waiting: 1 rows" in text
    assert "the bucket failed 3 times in a row and rests" in text


def test_the_lock_is_not_needed(instance_of: Any, notes: Path, tmp_path: Path) -> None:
    upload(instance_of(), Request(notes))
    with (tmp_path / "state/lock").open() as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        assert status_of(instance_of()).delivered_seq == 1


@pytest.mark.parametrize("content", [b"x" * 9000, b"SQLite format 3\0" + b"\0" * 4000])
def test_a_damaged_state_is_said_and_left(
    content: bytes,
    instance_of: Any,
    notes: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    upload(instance_of(), Request(notes))
    path = tmp_path / "state/state.sqlite"
    path.write_bytes(content)
    status = status_of(instance_of())
    assert status.state == "damaged"
    assert "sets it aside" in status.warnings[0]
    assert "not known" in said(status, instance_of(), capsys)
    assert path.read_bytes() == content


def test_a_state_of_another_machine_is_said(instance_of: Any, notes: Path) -> None:
    upload(instance_of(), Request(notes))
    status = status_of(instance_of(machine="machine-b"))
    assert "made on another machine" in status.warnings[0]
    assert status.delivered_seq == 1


def test_a_bucket_that_hangs_is_not_waited_for(instance_of: Any, notes: Path) -> None:
    upload(instance_of(), Request(notes))
    released = threading.Event()

    def hang() -> Any:
        released.wait(60)
        return gone()

    status = status_of(replace(instance_of(), connect=hang), ask_s=0.2)
    released.set()
    assert (status.delivered_seq, status.hub.told) == (1, "never")


def test_the_json_object_is_the_documented_one(instance_of: Any, notes: Path, tell: Any) -> None:
    upload(instance_of(), Request(notes))
    tell(0, (2, 3), n1="bad")
    answer = json.loads(json.dumps(status_of(instance_of()).as_dict()))
    docs = (Path(__file__).parents[2] / "docs/uploader.md").read_text()
    written = docs.split("`recall status --json`: `{")[1].split("}`.")[0]
    names = written.replace("\n", " ").replace(":", ",").replace("{", ",").replace("}", ",")
    names = names.replace("[", "").replace("]", "").replace(" ", "")
    nested = [*answer, *answer["hub"], *answer["hub"]["quarantined"][0], *answer["outbox"]]
    nested += answer["ways"][0]
    assert sorted(filter(None, names.split(","))) == sorted(nested)
    assert answer["hub"]["missing"] == [[2, 3]]
    assert answer["delivered_at"].endswith("+00:00")
