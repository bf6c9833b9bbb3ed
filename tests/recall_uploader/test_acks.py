"""What the hub could not take is sent again, under a new number, and not for ever."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from recall_uploader.acks import ACK_NOTE
from recall_uploader.extract import Request
from recall_uploader.state import State
from recall_uploader.upload import upload
from recall_wire import layout
from recall_wire.errors import BucketRefused, BucketUnreachable
from recall_wire.manifest import Ack, QuarantinedSeq


@pytest.fixture
def tell(bucket: Any) -> Any:
    """Write an ack, as the hub does."""

    def write(complete_to: int = 0, **quarantined: str) -> None:
        bad = tuple(
            QuarantinedSeq(seq=int(seq.removeprefix("n")), reason=reason)
            for seq, reason in quarantined.items()
        )
        ack = Ack(complete_to=complete_to, quarantined=bad)
        bucket.put(layout.ack_key("laptop"), ack.to_bytes())

    return write


def ids(view: Any, seq: int) -> list[str]:
    manifest = next(item for item in view.manifests() if item.seq == seq)
    before = sum(item.rows for item in view.manifests() if item.seq < seq)
    return [row["memory_id"] for row in view.records()[before : before + manifest.rows]]


def test_quarantined_rows_are_sent_again_under_a_new_number(
    instance_of: Any, database: Any, view: Any, tell: Any
) -> None:
    upload(instance_of(snapshot_max_rows=5), Request(database.path))
    tell(complete_to=1, n2="file memories.parquet is damaged")

    result = upload(instance_of(), Request(database.path))

    assert (result.status, result.seq, result.rows) == ("committed", 3, 5)
    assert ids(view, 3) == ids(view, 2)
    assert "could not take snapshot 2 (file memories.parquet is damaged)" in result.warnings[0]
    assert upload(instance_of(), Request(database.path)).status == "unchanged"


def test_an_ack_without_news_changes_nothing(
    instance_of: Any, database: Any, tell: Any, tmp_path: Path
) -> None:
    upload(instance_of(), Request(database.path))
    tell(complete_to=1)
    assert upload(instance_of(), Request(database.path)).status == "unchanged"

    state = State.open(tmp_path / "state/state.sqlite")
    assert state.noted(ACK_NOTE) == Ack(complete_to=1).to_bytes().decode()
    state.close()


def test_rows_that_no_hub_can_take_are_not_sent_for_ever(
    instance_of: Any, database: Any, view: Any, tell: Any
) -> None:
    upload(instance_of(), Request(database.path))
    told = {}
    for seq in range(1, 4):
        told[f"n{seq}"] = "the reader took too much memory"
        tell(**told)
        upload(instance_of(), Request(database.path))
    assert view.seqs() == [1, 2, 3]

    database.update("m0004", "mended")
    assert upload(instance_of(), Request(database.path)).rows == 1
    tell(**told, n4="still too much")
    assert upload(instance_of(), Request(database.path)).rows == 1


def test_a_quarantined_delete_is_said_again(
    instance_of: Any, database: Any, view: Any, tell: Any
) -> None:
    instance = instance_of(deletes="propagate")
    upload(instance, Request(database.path))
    database.delete(3, 3)
    upload(instance, Request(database.path))
    tell(complete_to=1, n2="damaged on the way")

    result = upload(instance, Request(database.path, confirm_deletes=True))

    assert (result.seq, result.deletes) == (3, 1)
    assert view.said()[-1] == ("delete", "m0003", None)


def test_a_delete_that_the_hub_has_is_not_kept_in_mind(
    instance_of: Any, database: Any, tell: Any, tmp_path: Path
) -> None:
    instance = instance_of(deletes="propagate")
    upload(instance, Request(database.path))
    database.delete(3, 3)
    upload(instance, Request(database.path))
    tell(complete_to=2)
    upload(instance, Request(database.path))

    state = State.open(tmp_path / "state/state.sqlite")
    assert state.connection.execute("SELECT count(*) FROM deleted").fetchone() == (0,)
    state.close()


def test_a_quarantined_forget_is_said_again(
    instance_of: Any, database: Any, view: Any, tell: Any
) -> None:
    from recall_uploader.forget import forget

    upload(instance_of(), Request(database.path))
    forget(instance_of(), ["m0001"])
    tell(complete_to=1, n2="damaged on the way")

    assert upload(instance_of(), Request(database.path)).seq == 3
    assert view.said()[-1] == ("forget", "m0001", None)


def test_numbers_that_the_hub_has_from_a_life_before_are_not_used(
    instance_of: Any, database: Any, view: Any, tell: Any
) -> None:
    upload(instance_of(), Request(database.path))
    database.add(11, 11)
    tell(complete_to=5)
    assert upload(instance_of(), Request(database.path)).seq == 6
    assert view.seqs() == [1, 6]
    database.add(12, 12)
    tell(complete_to=10**11)
    assert upload(instance_of(), Request(database.path)).seq == 7


@pytest.mark.parametrize(
    "data", [b"", b"{", b"[]", b'{"complete_to": -1}', b"\xff" * 100], ids=repr
)
def test_an_ack_that_cannot_be_read_is_none(
    instance_of: Any, database: Any, bucket: Any, data: bytes
) -> None:
    upload(instance_of(), Request(database.path))
    bucket.put(layout.ack_key("laptop"), data)
    assert upload(instance_of(), Request(database.path)).status == "unchanged"


@pytest.mark.parametrize("error", [BucketUnreachable("no answer"), BucketRefused("not yours")])
def test_an_ack_that_cannot_be_had_now_holds_up_nothing(
    instance_of: Any, database: Any, bucket: Any, error: Exception
) -> None:
    class NoAcks:
        def __getattr__(self, name: str) -> Any:
            return getattr(bucket, name)

        def get(self, key: str, *, max_bytes: int) -> bytes:
            if key.startswith(layout.ACKS):
                raise error
            return bytes(bucket.get(key, max_bytes=max_bytes))

    upload(instance_of(reached=NoAcks()), Request(database.path))
    database.add(11, 11)
    assert upload(instance_of(reached=NoAcks()), Request(database.path)).seq == 2
