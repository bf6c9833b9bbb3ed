"""The run as a whole, over real DuckDB files and a folder bucket."""

from __future__ import annotations

import json
import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from recall_uploader.errors import DeletesUnconfirmed
from recall_uploader.extract import Request
from recall_uploader.redact import RedactRule
from recall_uploader.upload import plan, upload
from recall_wire.errors import BucketUnreachable, SourceInvalid
from recall_wire.formats import ReadOptions, open_source


def test_first_upload_sends_every_row_once_in_one_full_snapshot(
    instance_of: Any, database: Any, view: Any, waiting: Any
) -> None:
    result = upload(instance_of(), Request(database.path))

    assert (result.status, result.method, result.seq, result.rows) == ("committed", "cloud", 1, 10)
    assert [row["memory_id"] for row in view.records()] == [f"m{n:04d}" for n in range(1, 11)]
    assert view.records()[0]["text"] == "we decided on option 1"
    manifest = view.manifests()[0]
    assert (manifest.kind, manifest.rows, manifest.deletes) == ("full", 10, 0)
    assert manifest.files[0].min_time == datetime(2026, 2, 1, 0, 1, tzinfo=UTC)
    assert view.head_seq() == 1
    assert waiting() == []
    assert result.bytes == manifest.data_bytes > 0


def test_upload_again_with_nothing_new_makes_no_request_at_all(
    instance_of: Any, database: Any, faulty: Any
) -> None:
    upload(instance_of(), Request(database.path))
    database.read("m0003")
    counted = faulty()

    result = upload(instance_of(reached=counted), Request(database.path))

    assert (result.status, result.method, result.seq) == ("unchanged", "none", None)
    assert counted.calls == []


def test_second_upload_sends_what_is_new_or_changed_as_a_delta(
    instance_of: Any, database: Any, view: Any
) -> None:
    upload(instance_of(), Request(database.path))
    database.add(11, 12)
    database.update("m0002", "we changed our mind")

    result = upload(instance_of(), Request(database.path))

    assert (result.seq, result.rows) == (2, 3)
    assert view.manifests()[1].kind == "delta"
    assert {row["memory_id"] for row in view.records()[10:]} == {"m0002", "m0011", "m0012"}


def test_rows_are_cut_into_snapshots_and_one_head_covers_them(
    instance_of: Any, database: Any, view: Any, faulty: Any
) -> None:
    counted = faulty()

    result = upload(instance_of(snapshot_max_rows=4, reached=counted), Request(database.path))

    assert (result.seq, result.rows) == (3, 10)
    assert [manifest.rows for manifest in view.manifests()] == [4, 4, 2]
    assert len(view.records()) == 10
    assert [call for call in counted.writes() if "heads/" in call] == ["put heads/laptop"]


def test_full_sends_unchanged_rows_too(instance_of: Any, database: Any, view: Any) -> None:
    upload(instance_of(), Request(database.path))

    result = upload(instance_of(), Request(database.path, full=True))

    assert (result.seq, result.rows) == (2, 10)
    assert view.manifests()[1].kind == "full"


def test_a_copy_of_a_source_elsewhere_is_nothing_new(
    instance_of: Any, database: Any, tmp_path: Path
) -> None:
    upload(instance_of(), Request(database.path))
    moved = shutil.copy(database.path, tmp_path / "elsewhere.duckdb")

    assert upload(instance_of(), Request(Path(moved))).status == "unchanged"


def test_deletes_in_the_source_stay_in_the_hub_by_default(
    instance_of: Any, database: Any, view: Any
) -> None:
    upload(instance_of(), Request(database.path))
    database.delete(1, 9)

    assert upload(instance_of(), Request(database.path)).status == "unchanged"
    assert view.seqs() == [1]


def test_propagated_deletes_are_sent_once_and_a_row_that_reappears_is_an_upsert(
    instance_of: Any, database: Any, view: Any
) -> None:
    instance = instance_of(deletes="propagate")
    upload(instance, Request(database.path))
    database.delete(4, 5)

    result = upload(instance, Request(database.path))

    assert (result.rows, result.deletes) == (2, 2)
    assert view.said()[10:] == [("delete", "m0004", None), ("delete", "m0005", None)]
    assert upload(instance, Request(database.path)).status == "unchanged"
    database.add(4, 4)
    assert upload(instance, Request(database.path)).rows == 1
    assert view.said()[12:] == [("upsert", "m0004", "we decided on option 4")]


def test_many_deletes_ask_first_and_spool_nothing(
    instance_of: Any, database: Any, view: Any, waiting: Any
) -> None:
    instance = instance_of(deletes="propagate")
    upload(instance, Request(database.path))
    database.delete(1, 3)
    database.add(11, 11)

    with pytest.raises(DeletesUnconfirmed, match=r"3 of 10 memories .*--confirm-deletes"):
        upload(instance, Request(database.path))
    assert waiting() == []
    assert view.seqs() == [1]

    result = upload(instance, Request(database.path, confirm_deletes=True))
    assert (result.rows, result.deletes) == (4, 3)


def test_an_older_source_asks_first(instance_of: Any, database: Any) -> None:
    instance = instance_of(deletes="propagate")
    upload(instance, Request(database.path))
    database.delete(10, 10)

    with pytest.raises(DeletesUnconfirmed, match="older"):
        upload(instance, Request(database.path))


def test_raw_ships_the_database_itself_and_only_when_it_changed(
    instance_of: Any, database: Any, view: Any, bucket: Any
) -> None:
    plain = instance_of(redact=False)
    result = upload(plain, Request(database.path, raw=True))

    assert (result.seq, result.rows, result.bytes) == (1, 0, database.path.stat().st_size)
    file = view.manifests()[0].files[0]
    assert (file.format, file.rows) == ("duckdb", None)
    stored = bucket.get(f"systems/laptop/snapshots/{1:012d}/{file.name}", max_bytes=1 << 30)
    assert stored == database.path.read_bytes()
    assert upload(plain, Request(database.path, raw=True)).status == "unchanged"
    database.add(11, 11)
    assert upload(plain, Request(database.path, raw=True)).seq == 2


def test_raw_ships_a_database_without_its_secrets(
    instance_of: Any, database: Any, view: Any, bucket: Any, tmp_path: Path
) -> None:
    secret = "postgres://app:" + "kX9-vT2_qqL4@db.example.com/app"
    database.update("m0003", f"it connects to {secret} by default")

    result = upload(instance_of(), Request(database.path, raw=True))

    file = view.manifests()[0].files[0]
    assert (result.seq, result.redacted, view.manifests()[0].redacted) == (1, 1, 1)
    stored = bucket.get(f"systems/laptop/snapshots/{1:012d}/{file.name}", max_bytes=1 << 30)
    assert b"kX9-vT2_qqL4" not in stored
    (tmp_path / "sent.duckdb").write_bytes(stored)
    with open_source(tmp_path / "sent.duckdb", ReadOptions()) as source:
        texts = {record.memory_id: record.text for record in source.records()}
    assert len(texts) == 10
    assert "kX9-vT2_qqL4" not in str(texts)
    assert upload(instance_of(), Request(database.path, raw=True)).status == "unchanged"


def test_secrets_are_replaced_and_counted(instance_of: Any, database: Any, view: Any) -> None:
    token = "ghp_" + "x7Kq2mVb9LpR4tYw8ZsNc1DfGh3JkQeA5uTi"
    database.update("m0003", f"export GITHUB_TOKEN={token}")

    planned = plan(instance_of(), Request(database.path))
    assert (planned.status, planned.redacted) == ("planned", 1)
    assert planned.warnings[-1].startswith("secrets found in what was read: 1 ")
    result = upload(instance_of(), Request(database.path))

    assert (result.redacted, view.manifests()[0].redacted) == (1, 1)
    assert token not in str(view.records())
    assert upload(instance_of(), Request(database.path)).status == "unchanged"
    assert upload(instance_of(redact=False, state="plain"), Request(database.path)).redacted == 0


def test_several_sources_go_in_one_run_and_a_bad_one_holds_up_no_other(
    instance_of: Any, database: Any, notes: Path, view: Any, tmp_path: Path
) -> None:
    gone = Request(tmp_path / "gone.duckdb")
    with pytest.raises(SourceInvalid, match="there is no file"):
        upload(instance_of(), Request(database.path), gone, Request(notes))
    assert len(view.records()) == 20
    assert view.seqs() == [1, 2]


def test_raw_refuses_what_is_no_duckdb_file(instance_of: Any, tmp_path: Path) -> None:
    source = tmp_path / "notes.jsonl"
    source.write_text('{"memory_id": "a", "text": "hello"}\n')

    with pytest.raises(SourceInvalid, match="no DuckDB file"):
        upload(instance_of(), Request(source, raw=True))


def test_json_lines_with_broken_unicode_are_sent_once(
    instance_of: Any, tmp_path: Path, view: Any
) -> None:
    source = tmp_path / "notes.jsonl"
    rows = [
        {"memory_id": "lone", "text": "half a pair \ud800 here", "importance": 0.1},
        {"memory_id": "nul", "text": "a\0b", "tags": ["x"], "importance": 7},
        {"memory_id": "empty", "text": ""},
    ]
    source.write_text("\n".join(json.dumps(row) for row in rows))

    assert upload(instance_of(), Request(source)).rows == 3
    assert [row["memory_id"] for row in view.records()] == ["lone", "nul", "empty"]
    assert upload(instance_of(), Request(source)).status == "unchanged"


def test_a_delete_that_the_source_itself_says_is_sent_once(
    instance_of: Any, tmp_path: Path
) -> None:
    source = tmp_path / "notes.jsonl"
    source.write_text('{"memory_id": "a", "op": "delete"}\n')

    assert upload(instance_of(), Request(source)).deletes == 1
    assert upload(instance_of(), Request(source)).status == "unchanged"


@pytest.mark.parametrize("content", [b"", b"not a database", b"\0" * 5000])
def test_a_bad_source_is_refused_but_what_waits_is_delivered(  # noqa: PLR0917
    content: bytes,
    instance_of: Any,
    database: Any,
    view: Any,
    faulty: Any,
    tmp_path: Path,
    waiting: Any,
) -> None:
    upload(instance_of(), Request(database.path))
    database.add(11, 11)
    upload(instance_of(reached=faulty(fail_at=1)), Request(database.path))
    assert waiting() == ["new/000000000002"]
    bad = tmp_path / "bad.duckdb"
    bad.write_bytes(content)

    with pytest.raises(SourceInvalid):
        upload(instance_of(), Request(bad))
    assert view.seqs() == [1, 2]
    assert waiting() == []


def test_an_unreachable_bucket_leaves_the_snapshot_queued_and_the_next_run_drains_it(
    instance_of: Any, database: Any, view: Any, faulty: Any, waiting: Any
) -> None:
    upload(instance_of(), Request(database.path))
    database.add(11, 12)

    result = upload(instance_of(reached=faulty(fail_at=1)), Request(database.path))

    assert (result.status, result.method, result.seq, result.rows) == ("queued", "none", 2, 2)
    assert "the line is cut" in result.warnings[-1]
    assert waiting() == ["new/000000000002"]
    drained = upload(instance_of(), Request(database.path))
    assert (drained.status, drained.seq, drained.rows) == ("committed", 2, 2)
    assert view.seqs() == [1, 2]


def test_without_a_state_an_unreachable_bucket_is_one_sentence_and_nothing_is_made(
    instance_of: Any, database: Any, faulty: Any, tmp_path: Path
) -> None:
    with pytest.raises(BucketUnreachable):
        upload(instance_of(reached=faulty(fail_at=1)), Request(database.path))
    assert not (tmp_path / "state/state.sqlite").exists()
    assert upload(instance_of(), Request(database.path)).seq == 1


def test_a_dry_run_says_what_would_be_sent_and_writes_nothing(
    instance_of: Any, database: Any, faulty: Any, tmp_path: Path
) -> None:
    counted = faulty()
    first = plan(instance_of(reached=counted), Request(database.path))
    assert (first.status, first.rows, first.seq) == ("planned", 10, 1)
    assert not (tmp_path / "state").exists()

    upload(instance_of(), Request(database.path))
    database.add(11, 12)
    before = {p: p.read_bytes() for p in (tmp_path / "state").rglob("*") if p.is_file()}
    again = plan(instance_of(reached=counted), Request(database.path))
    assert (again.status, again.rows, again.seq) == ("planned", 2, 2)
    assert plan(instance_of(), Request(database.path, raw=True)).bytes > 0
    assert {p: p.read_bytes() for p in (tmp_path / "state").rglob("*") if p.is_file()} == before
    assert counted.calls == []


def test_vectors_travel_only_where_their_space_is_declared(
    instance_of: Any, tmp_path: Path, view: Any
) -> None:
    source = tmp_path / "notes.jsonl"
    source.write_text(
        '{"memory_id": "a", "text": "x", "embedding": [1.0, 0.0]}\n'
        '{"memory_id": "b", "text": "y", "embedding": [1.0]}\n'
    )
    space = {"embedding_model": "m", "embedding_revision": "r", "embedding_dim": 2}

    upload(instance_of(), Request(source))
    upload(instance_of(**space), Request(source, full=True))

    vectors = [row["embedding"] for row in view.records()]
    assert vectors == [None, None, [1.0, 0.0], None]
    first, second = view.manifests()
    assert first.embedding is None
    assert second.embedding.space_id == "m@r:2"


def test_with_other_rules_transcripts_that_did_not_change_are_read_again(
    instance_of: Any, tmp_path: Path, view: Any
) -> None:
    folder = tmp_path / "projects/p"
    folder.mkdir(parents=True)
    turn = {
        "type": "user",
        "uuid": "u1",
        "sessionId": "s1",
        "timestamp": "2026-03-01T10:00:00Z",
        "cwd": "/work",
        "message": {"role": "user", "content": "ask EMP-" + "123456 about it"},
    }
    (folder / "s1.jsonl").write_text(json.dumps(turn) + "\n")
    request = Request(tmp_path / "projects")
    assert upload(instance_of(), request).rows == 1
    assert upload(instance_of(), request).status == "unchanged"

    rules = (RedactRule(name="staff", pattern=r"EMP-\d{6}"),)
    assert upload(instance_of(redact_rules=rules), request).redacted == 1
    assert view.said()[-1] == ("upsert", "u1", "ask [redacted:staff] about it")
