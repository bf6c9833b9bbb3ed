"""Numbers are given once, whichever way snapshots went and whatever was lost."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from recall_uploader.extract import Request
from recall_uploader.init import adopt
from recall_uploader.upload import upload
from recall_wire.errors import BucketUnreachable


class Away:
    def __getattr__(self, name: str) -> Any:
        def fail(*_: object, **__: object) -> Any:
            raise BucketUnreachable("nothing answers")

        return (lambda: None) if name == "close" else fail


@pytest.fixture
def instance(instance_of: Any, push_to: Any) -> Callable[..., Any]:
    return lambda **options: push_to(instance_of(**options))


def told(hub: Any) -> None:
    """Have the hub answer what it has."""
    hub.standing = {
        "highest_seq": max(hub.merged),
        "manifest_sha256": "f" * 64,
        "machine": "machine-a",
    }


def test_with_the_state_lost_it_goes_on_after_what_only_the_hub_has(
    instance: Any, database: Any, hub: Any, view: Any, tmp_path: Path
) -> None:
    upload(instance(), Request(database.path))
    database.add(11, 12)
    upload(instance(reached=Away(), snapshot_max_rows=1), Request(database.path))
    assert sorted(hub.merged) == [2, 3]
    told(hub)
    shutil.rmtree(tmp_path / "state")

    result = upload(instance(), Request(database.path))

    assert (result.status, result.seq, result.rows) == ("committed", 4, 12)
    assert view.seqs() == [1, 4]
    database.add(13, 13)
    assert upload(instance(), Request(database.path)).seq == 5


def test_with_the_bucket_away_too_it_goes_on_and_the_bucket_takes_it_later(
    instance: Any, database: Any, hub: Any, view: Any, tmp_path: Path
) -> None:
    upload(instance(), Request(database.path))
    database.add(11, 11)
    upload(instance(reached=Away()), Request(database.path))
    told(hub)
    shutil.rmtree(tmp_path / "state")
    assert upload(instance(reached=Away()), Request(database.path)).seq == 3

    assert upload(instance(), Request(database.path)).status == "committed"
    assert view.seqs() == [1, 3]
    assert view.head_seq() == 3


def test_adopting_goes_on_after_what_only_the_hub_has(
    instance: Any, database: Any, hub: Any
) -> None:
    upload(instance(), Request(database.path))
    database.add(11, 11)
    upload(instance(reached=Away()), Request(database.path))
    told(hub)
    assert adopt(instance(state="other")).next_seq == 3


def test_adopting_needs_the_bucket_where_there_is_one(
    instance: Any, database: Any, hub: Any
) -> None:
    upload(instance(), Request(database.path))
    with pytest.raises(BucketUnreachable):
        adopt(instance(reached=Away()))


def test_a_bucket_that_is_named_later_gets_everything(
    instance: Any, database: Any, hub: Any, view: Any, waiting: Any
) -> None:
    hub_only = replace(instance(snapshot_max_rows=5), connect=None)
    upload(hub_only, Request(database.path))
    assert sorted(hub.merged) == [1, 2]

    result = upload(instance(), Request(database.path))

    assert (result.status, result.seq, result.rows) == ("committed", 3, 10)
    assert view.seqs() == [3]
    assert waiting() == []
    assert upload(instance(), Request(database.path)).status == "unchanged"


def test_going_back_and_forth_between_hub_and_bucket_gives_no_number_twice(
    instance: Any, database: Any, hub: Any, view: Any, waiting: Any
) -> None:
    forced = {"force_method": "http", "hub_url": hub.url}
    seqs = []
    for number, options in enumerate(({}, forced, {}, forced, {})):
        database.add(11 + number, 11 + number)
        seqs.append(upload(instance(**options), Request(database.path)).seq)
    assert seqs == [1, 2, 3, 4, 5]
    assert sorted(hub.merged) == [2, 4]
    assert view.seqs() == [1, 3, 5]
    assert waiting() == []
    rows = {row["memory_id"] for row in view.records()}
    assert len(rows) == 15
