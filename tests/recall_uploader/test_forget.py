"""Forgetting is final, and works for ids that were never sent."""

from __future__ import annotations

import shutil
from typing import Any

import pytest

from recall_uploader.extract import Request
from recall_uploader.forget import forget
from recall_uploader.init import adopt
from recall_uploader.upload import upload
from recall_wire.errors import SettingsInvalid


def test_a_forgotten_row_is_never_sent_again(instance_of: Any, database: Any, view: Any) -> None:
    upload(instance_of(), Request(database.path))

    result = forget(instance_of(), ["m0003", "never-sent", "m0003"])

    assert (result.status, result.seq, result.rows, result.deletes) == ("committed", 2, 2, 2)
    assert view.said()[10:] == [("forget", "m0003", None), ("forget", "never-sent", None)]
    database.update("m0003", "it comes back")
    assert upload(instance_of(), Request(database.path)).status == "unchanged"
    assert upload(instance_of(), Request(database.path, full=True)).rows == 9


def test_forgetting_twice_sends_nothing(instance_of: Any, faulty: Any) -> None:
    forget(instance_of(), ["a"])
    counted = faulty()

    assert forget(instance_of(reached=counted), ["a"]).status == "unchanged"
    assert counted.calls == []


def test_forgetting_offline_waits_in_the_outbox_and_survives_a_lost_state(
    instance_of: Any, database: Any, view: Any, faulty: Any
) -> None:
    upload(instance_of(), Request(database.path))
    assert forget(instance_of(reached=faulty(fail_at=1)), ["m0003"]).status == "queued"
    (instance_of().folder / "state.sqlite").unlink()

    upload(instance_of(), Request(database.path))

    ids = [row["memory_id"] for row in view.records()]
    assert ids.count("m0003") == 2  # its upsert and its forget: not once more with the full one
    assert len(ids) == 10 + 1 + 9


def test_a_new_identity_says_once_more_what_was_forgotten(
    instance_of: Any, database: Any, view: Any
) -> None:
    upload(instance_of(), Request(database.path))
    forget(instance_of(), ["m0003"])
    adopt(instance_of())

    upload(instance_of(), Request(database.path))

    assert view.said()[-1] == ("forget", "m0003", None)
    assert [manifest.kind for manifest in view.manifests()] == ["full", "delta", "full", "delta"]


def test_the_first_snapshot_of_a_new_instance_is_full_even_if_it_only_forgets(
    instance_of: Any, database: Any, view: Any
) -> None:
    upload(instance_of(), Request(database.path))
    shutil.rmtree(instance_of().folder)

    forget(instance_of(), ["m0003"])

    assert view.manifests()[1].kind == "full"


@pytest.mark.parametrize("memory_id", ["", "x" * 513, "half \udcff"])
def test_an_impossible_id_is_one_sentence(memory_id: str, instance_of: Any) -> None:
    with pytest.raises(SettingsInvalid):
        forget(instance_of(), ["fine", memory_id])
    assert not instance_of().folder.exists()
