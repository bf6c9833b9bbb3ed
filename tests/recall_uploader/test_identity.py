"""Whose system is it: lost, copied, restored and shared state folders."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from recall_uploader.errors import SystemClash
from recall_uploader.extract import Request
from recall_uploader.init import adopt, init
from recall_uploader.state import State
from recall_uploader.upload import upload
from recall_wire.layout import head_key, manifest_key
from recall_wire.manifest import Head, sha256_hex


def test_a_lost_state_on_the_same_machine_goes_on_with_a_full_snapshot(
    instance_of: Any, database: Any, view: Any
) -> None:
    upload(instance_of(), Request(database.path))
    shutil.rmtree(instance_of().folder)

    result = upload(instance_of(), Request(database.path))

    assert (result.seq, result.rows) == (2, 10)
    assert "everything is sent once more" in result.warnings[0]
    first, second = view.manifests()
    assert (second.kind, second.machine) == ("full", first.machine)
    assert second.instance_id != first.instance_id
    assert upload(instance_of(), Request(database.path)).status == "unchanged"


def test_a_lost_state_goes_on_after_a_manifest_that_no_head_covers_yet(
    instance_of: Any, database: Any, view: Any, bucket: Any
) -> None:
    upload(instance_of(snapshot_max_rows=5), Request(database.path))
    shutil.rmtree(instance_of().folder)
    bucket.delete(head_key("laptop"))

    assert upload(instance_of(), Request(database.path)).seq == 3
    assert view.head_seq() == 3


def test_a_state_lost_while_snapshots_wait_delivers_them_first(
    instance_of: Any, database: Any, view: Any, faulty: Any, waiting: Any
) -> None:
    upload(instance_of(), Request(database.path))
    database.add(11, 12)
    upload(instance_of(reached=faulty(fail_at=1)), Request(database.path))
    (instance_of().folder / "state.sqlite").unlink()

    result = upload(instance_of(), Request(database.path))

    assert (result.status, result.seq) == ("committed", 3)
    assert view.seqs() == [1, 2, 3]
    assert {row["memory_id"] for row in view.records()[10:12]} == {"m0011", "m0012"}
    assert len(view.records()) == 22
    assert waiting() == []


@pytest.mark.parametrize("damage", [b"", b"rubbish" * 1000, b"SQLite format 3\0" + b"\xff" * 9000])
def test_a_damaged_state_costs_one_full_snapshot(
    damage: bytes, instance_of: Any, database: Any, view: Any
) -> None:
    upload(instance_of(), Request(database.path))
    state = instance_of().folder / "state.sqlite"
    state.write_bytes(damage)

    result = upload(instance_of(), Request(database.path))

    assert (result.seq, result.rows) == (2, 10)
    assert view.manifests()[1].kind == "full"
    kept = [path.read_bytes() for path in state.parent.glob("state.sqlite.damaged-*")]
    assert kept == ([damage] if damage else [])


def test_no_state_and_another_machines_system_needs_adopt(
    instance_of: Any, database: Any, view: Any
) -> None:
    upload(instance_of(), Request(database.path))
    other = instance_of(state="other", machine="machine-b")

    with pytest.raises(SystemClash, match=r"another machine.*init --adopt"):
        upload(other, Request(database.path))
    assert view.seqs() == [1]
    assert adopt(other).next_seq == 2
    assert upload(other, Request(database.path)).seq == 2
    assert view.manifests()[1].machine == "machine-b"

    database.add(11, 11)
    with pytest.raises(SystemClash, match="never wrote"):
        upload(instance_of(), Request(database.path))


def test_a_state_folder_copied_to_another_machine_stops_at_once(
    instance_of: Any, database: Any, faulty: Any, tmp_path: Path
) -> None:
    upload(instance_of(), Request(database.path))
    shutil.copytree(instance_of().folder, tmp_path / "copied")
    counted = faulty()
    clone = instance_of(state="copied", machine="machine-b", reached=counted)

    with pytest.raises(SystemClash, match="another machine"):
        upload(clone, Request(database.path))
    assert counted.calls == []


def test_a_copied_state_folder_on_one_machine_is_found_before_anything_is_sent(
    instance_of: Any, database: Any, view: Any, faulty: Any, tmp_path: Path
) -> None:
    upload(instance_of(), Request(database.path))
    shutil.copytree(instance_of().folder, tmp_path / "copied")
    database.add(11, 11)
    upload(instance_of(), Request(database.path))
    database.add(12, 12)
    counted = faulty()
    clone = instance_of(state="copied", reached=counted)

    with pytest.raises(SystemClash, match="is a copy or was restored"):
        upload(clone, Request(database.path))
    assert counted.writes() == []

    adopted = adopt(clone)
    assert (adopted.next_seq, adopted.set_aside) == (3, 1)
    result = upload(clone, Request(database.path))
    assert (result.seq, result.rows) == (3, 12)
    assert view.manifests()[2].kind == "full"
    assert view.seqs() == [1, 2, 3]


def test_two_clones_with_the_same_waiting_number_clash(
    instance_of: Any, database: Any, faulty: Any, tmp_path: Path, view: Any
) -> None:
    upload(instance_of(), Request(database.path))
    database.add(11, 11)
    upload(instance_of(reached=faulty(fail_at=1)), Request(database.path))
    database.add(12, 12)
    shutil.copytree(instance_of().folder, tmp_path / "copied")
    shutil.rmtree(tmp_path / "copied/outbox")
    upload(instance_of(state="copied", reached=faulty(fail_at=1)), Request(database.path))
    database.add(13, 13)
    upload(instance_of(), Request(database.path))

    with pytest.raises(SystemClash):
        upload(instance_of(state="copied"), Request(database.path))
    assert view.seqs() == [1, 2, 3]


def test_another_bucket_is_noticed(instance_of: Any, database: Any, bucket: Any) -> None:
    upload(instance_of(), Request(database.path))
    for page in list(bucket.list("")):
        for item in page.objects:
            bucket.delete(item.key)
    database.add(11, 11)

    with pytest.raises(SystemClash, match="the bucket ends at 0"):
        upload(instance_of(), Request(database.path))
    adopt(instance_of())
    assert upload(instance_of(), Request(database.path)).rows == 11


def test_a_head_that_was_removed_is_written_again(
    instance_of: Any, database: Any, bucket: Any, view: Any
) -> None:
    upload(instance_of(), Request(database.path))
    bucket.delete(head_key("laptop"))
    database.add(11, 11)

    assert upload(instance_of(), Request(database.path)).seq == 2
    assert view.head_seq() == 2


@pytest.mark.parametrize("head", [b"", b"{}", b'{"seq": 999999999999}', b"\xff\xfe"])
def test_a_head_that_is_no_head_counts_as_none(
    head: bytes, instance_of: Any, database: Any, bucket: Any, view: Any
) -> None:
    upload(instance_of(), Request(database.path))
    bucket.put(head_key("laptop"), head)
    database.add(11, 11)

    assert upload(instance_of(), Request(database.path)).seq == 2
    assert view.head_seq() == 2


def test_another_system_id_than_the_states_own_stops(
    instance_of: Any, database: Any, view: Any
) -> None:
    upload(instance_of(), Request(database.path))

    with pytest.raises(SystemClash, match="the settings say desktop"):
        upload(instance_of(system_id="desktop"), Request(database.path))
    adopt(instance_of(system_id="desktop"))
    assert upload(instance_of(system_id="desktop"), Request(database.path)).seq == 1
    assert view.seqs("desktop") == [1]


def test_a_changed_host_name_changes_no_system(
    instance_of: Any, database: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("socket.gethostname", lambda: "büro mac.local")
    first = upload(instance_of(system_id=None), Request(database.path))
    monkeypatch.setattr("socket.gethostname", lambda: "elsewhere")
    database.add(11, 11)

    second = upload(instance_of(system_id=None), Request(database.path))

    assert first.system_id == second.system_id == "b-ro-mac-mach"


def test_init_makes_a_state_once(instance_of: Any, database: Any) -> None:
    made = init(instance_of())
    assert made.next_seq == 1
    assert init(instance_of()).instance_id == made.instance_id
    assert upload(instance_of(), Request(database.path)).seq == 1


def test_adopt_keeps_what_a_source_had_so_that_deletes_are_noticed(
    instance_of: Any, database: Any, view: Any
) -> None:
    instance = instance_of(deletes="propagate")
    upload(instance, Request(database.path))
    database.delete(3, 3)
    adopt(instance)

    result = upload(instance, Request(database.path))

    assert (result.rows, result.deletes) == (10, 1)
    assert view.said()[-1] == ("delete", "m0003", None)


@pytest.fixture
def own_head_void(instance_of: Any, database: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Head 2 is written, the state knows only of 1, and the file in `sending/2` is cut."""
    upload(instance_of(), Request(database.path))
    database.add(11, 11)
    with monkeypatch.context() as patch:
        patch.setattr(State, "commit", _killed)
        with pytest.raises(KeyboardInterrupt):
            upload(instance_of(), Request(database.path))
    folder = instance_of().folder / "outbox/sending/000000000002"
    (data,) = folder.glob("*.parquet")
    data.write_bytes(data.read_bytes()[:-10])


def _killed(*_: object) -> None:
    raise KeyboardInterrupt


@pytest.mark.usefixtures("own_head_void")
def test_an_own_head_over_a_number_that_became_void_is_no_clash(
    instance_of: Any, database: Any, view: Any, waiting: Any
) -> None:
    assert view.head_seq() == 2

    result = upload(instance_of(), Request(database.path))

    assert (result.status, result.seq) == ("committed", 3)
    assert [manifest.kind for manifest in view.manifests()] == ["full", "delta", "delta"]
    assert view.head_seq() == 3
    assert waiting() == ["failed/000000000002"]
    assert upload(instance_of(), Request(database.path)).status == "unchanged"


@pytest.mark.usefixtures("own_head_void")
@pytest.mark.parametrize("harm", ["another instance", "no manifest", "not the one of the head"])
def test_a_head_over_a_voided_number_that_is_not_provably_ours_clashes(
    harm: str, instance_of: Any, database: Any, bucket: Any, view: Any
) -> None:
    key = manifest_key("laptop", 2)
    data = bucket.get(key, max_bytes=1 << 20)
    bucket.delete(key)
    if harm == "another instance":
        data = data.replace(view.manifests()[0].instance_id.encode(), b"f" * 32)
        bucket.put(head_key("laptop"), _head_of(data))
    elif harm == "not the one of the head":
        bucket.put(head_key("laptop"), _head_of(b"another"))
    if harm != "no manifest":
        bucket.put(key, data)

    with pytest.raises(SystemClash, match="never wrote"):
        upload(instance_of(), Request(database.path))
    assert view.head_seq() == 2


def _head_of(manifest: bytes) -> bytes:
    head = Head(seq=2, manifest_sha256=sha256_hex(manifest), machine="machine-a")
    return head.to_bytes()
