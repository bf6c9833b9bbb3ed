"""What ends an extraction half-way, and what the next one then finds."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from recall_uploader import extract
from recall_uploader.deliver import deliver
from recall_uploader.errors import OutboxFull
from recall_uploader.extract import Ground, Request, extract_rows, opened
from recall_uploader.run import open_run
from recall_uploader.upload import plan, upload
from recall_wire.errors import SourceInvalid


def test_the_same_run_can_go_on_where_a_full_outbox_ended_it(
    instance_of: Any, notes: Path, view: Any
) -> None:
    request = Request(notes)
    with open_run(instance_of(snapshot_max_rows=4)) as run:
        ground = Ground.of(run.instance.settings, run.folder, run.patience.deadline)
        with opened(request, ground, run.state) as source:
            # Whoever keeps the error keeps its frames, and with them what they were reading.
            with pytest.raises(OutboxFull) as kept:
                extract_rows(source, request, replace(run.spool, max_outbox_bytes=1))
            deliver(run)
            extract_rows(source, request, run.spool)
            assert kept.value.__traceback__ is not None
        deliver(run)
    assert view.seqs() == [1, 2, 3]
    assert len(view.records()) == 10


TOKEN = "ghp_" + "x7Kq2mVb9LpR4tYw8ZsNc1DfGh3JkQeA5uTi"


def _rows(path: Path, *rows: dict[str, object]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.mark.parametrize(
    "row",
    [
        {"memory_id": f"run-{TOKEN}", "target_system": "theirs"},
        {"memory_id": "x" * 60 + f"-{TOKEN}", "target_system": TOKEN},
        {"memory_id": "m", "kind": TOKEN},
        {"memory_id": "m", "kind": "x" * 30 + TOKEN},
        {"memory_id": "m", "op": f"password={TOKEN}"},
    ],
)
def test_an_error_quotes_no_secret(instance_of: Any, tmp_path: Path, row: Any) -> None:
    source = _rows(tmp_path / "rows.jsonl", row)
    for run in (plan, upload):
        with pytest.raises(SourceInvalid) as refused:
            run(instance_of(), Request(source))
        assert not any(TOKEN[n : n + 8] in repr(refused.value) for n in range(len(TOKEN) - 8))
        assert not any(TOKEN[n : n + 8] in str(refused.value) for n in range(len(TOKEN) - 8))


def test_a_target_that_holds_a_secret_is_no_system(instance_of: Any, tmp_path: Path) -> None:
    source = _rows(tmp_path / "rows.jsonl", {"memory_id": "m", "target_system": TOKEN})
    with pytest.raises(SourceInvalid, match="addresses memories of another system"):
        upload(instance_of(system_id=TOKEN), Request(source))


def test_a_warning_quotes_no_secret(instance_of: Any, tmp_path: Path) -> None:
    source = tmp_path / "rows.jsonl"
    row = json.dumps({"memory_id": "x" * 70 + f"-{TOKEN}", "text": "<broken>"})
    source.write_bytes(row.encode().replace(b"<broken>", b"\xff"))
    (warning,) = upload(instance_of(), Request(source)).warnings
    assert warning.startswith("1 row had text that is not valid UTF-8, repaired (first: xxx")
    assert "ghp_" not in warning
    assert TOKEN in str(upload(instance_of(redact=False), Request(source, full=True)).warnings)


def test_a_database_is_sent_whole_again_when_the_rules_are_others(
    instance_of: Any, database: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    request = Request(database.path, raw=True)
    assert upload(instance_of(), request).seq == 1
    monkeypatch.setattr(extract, "RULES_VERSION", extract.RULES_VERSION + 1)
    assert upload(instance_of(), request).seq == 2
    assert upload(instance_of(), request).status == "unchanged"


def test_without_redaction_the_rules_are_of_no_account(
    instance_of: Any, database: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    request, plain = Request(database.path, raw=True), instance_of(redact=False)
    assert upload(plain, request).seq == 1
    monkeypatch.setattr(extract, "RULES_VERSION", extract.RULES_VERSION + 1)
    assert upload(plain, request).status == "unchanged"
