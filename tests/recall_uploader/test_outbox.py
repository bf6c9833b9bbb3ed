"""Folders are the state: what is damaged, missing or left behind in them."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from recall_uploader.extract import Request
from recall_uploader.outbox import SENT_KEPT, Outbox
from recall_uploader.recover import discard, recover
from recall_uploader.run import open_run
from recall_uploader.upload import upload


@pytest.fixture
def queued(instance_of: Any, database: Any, faulty: Any) -> Path:
    """Snapshot 1 is delivered, 2 (`m0011`) waits. The outbox folder."""
    upload(instance_of(), Request(database.path))
    database.add(11, 11)
    upload(instance_of(reached=faulty(fail_at=1)), Request(database.path))
    return Path(instance_of().folder) / "outbox"


@pytest.mark.parametrize("harm", ["no manifest", "manifest cut", "no data", "data cut", "gone"])
def test_a_broken_snapshot_becomes_void_and_its_rows_go_under_the_next_number(
    harm: str, queued: Path, instance_of: Any, database: Any, view: Any
) -> None:
    folder = queued / "new/000000000002"
    (data,) = folder.glob("*.parquet")
    if harm == "gone":
        shutil.rmtree(folder)
    elif harm.startswith("no "):
        (folder / "manifest.json" if harm == "no manifest" else data).unlink()
    else:
        cut = folder / "manifest.json" if harm == "manifest cut" else data
        cut.write_bytes(cut.read_bytes()[:-10])

    result = upload(instance_of(), Request(database.path))

    assert [manifest.kind for manifest in view.manifests()][1] == "void"
    assert result.seq == 3
    assert view.said()[10:] == [("upsert", "m0011", "we decided on option 11")]
    if harm != "gone":
        assert "damaged" in result.warnings[0]
        assert (queued / "failed/000000000002").is_dir()


def test_rotten_bytes_are_never_delivered(
    queued: Path, instance_of: Any, database: Any, view: Any
) -> None:
    (data,) = (queued / "new/000000000002").glob("*.parquet")
    content = bytearray(data.read_bytes())
    content[100] ^= 0xFF
    data.write_bytes(content)

    result = upload(instance_of(), Request(database.path))

    assert "not what it was" in result.warnings[0]
    assert [manifest.kind for manifest in view.manifests()] == ["full", "void"]
    assert upload(instance_of(), Request(database.path)).seq == 3
    assert len(view.records()) == 11


def test_a_discarded_snapshot_is_committed_as_void(
    queued: Path, instance_of: Any, database: Any, view: Any
) -> None:
    with open_run(instance_of()) as run:
        recover(run.spool)
        discard(run.spool, run.outbox.pending()[0])
    assert (queued / "failed/000000000002").is_dir()

    result = upload(instance_of(), Request(database.path))

    assert result.seq == 3
    assert [manifest.kind for manifest in view.manifests()] == ["full", "void", "delta"]
    assert view.said()[10:] == [("upsert", "m0011", "we decided on option 11")]


def test_a_snapshot_discarded_after_its_manifest_arrived_stays_delivered(
    queued: Path, instance_of: Any, database: Any, view: Any, faulty: Any
) -> None:
    calls = faulty()
    # list, get and put of data, then the manifest: the head fails, and the process dies after it.
    upload(instance_of(reached=faulty(fail_at=5)), Request(database.path))
    assert view.seqs() == [1, 2]
    with open_run(instance_of()) as run:
        discard(run.spool, run.outbox.pending()[0])

    upload(instance_of(reached=calls), Request(database.path))

    assert [manifest.kind for manifest in view.manifests()][:2] == ["full", "delta"]
    assert view.head_seq() == 3
    assert not list((queued / "new").iterdir())


def test_sent_keeps_only_the_newest_manifests(instance_of: Any, notes: Path, view: Any) -> None:
    for _ in range(3):
        upload(instance_of(snapshot_max_rows=1), Request(notes, full=True))

    sent = sorted((instance_of().folder / "outbox/sent").iterdir())
    assert [path.name for path in sent] == [f"{n:012d}" for n in range(31 - SENT_KEPT, 31)]
    assert {item.name for path in sent for item in path.iterdir()} == {"manifest.json"}
    assert view.seqs() == list(range(1, 31))


def test_a_snapshot_of_another_machine_in_the_outbox_stops(
    queued: Path, instance_of: Any, database: Any
) -> None:
    (instance_of().folder / "state.sqlite").unlink()
    manifest = queued / "new/000000000002/manifest.json"
    manifest.write_bytes(manifest.read_bytes().replace(b"machine-a", b"machine-b"))

    with pytest.raises(Exception, match="init --adopt"):
        upload(instance_of(), Request(database.path))


def test_foreign_files_in_the_outbox_are_left_alone(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path)
    outbox.prepare()
    (tmp_path / "new/notes.txt").write_text("mine")
    (tmp_path / "new/not-a-number").mkdir()

    assert outbox.pending() == []
    assert outbox.broken() == []
    outbox.tidy()
    assert (tmp_path / "new/notes.txt").exists()
