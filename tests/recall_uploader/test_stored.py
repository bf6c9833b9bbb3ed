"""A bucket that says yes and keeps nothing is found out, and nothing leaves the outbox."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from recall_uploader.extract import Request
from recall_uploader.upload import upload
from recall_wire.errors import BucketRefused


class Forgetful:
    """A bucket that answers every write with success and loses some of them."""

    def __init__(self, inner: Any, loses: Callable[[str], bool]) -> None:
        self._inner = inner
        self._loses = loses

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def put(self, key: str, data: bytes, *, if_absent: bool = False) -> str:
        if self._loses(key):
            return "etag"
        return str(self._inner.put(key, data, if_absent=if_absent))


@pytest.mark.parametrize(
    "lost",
    [
        pytest.param(lambda key: True, id="everything"),
        pytest.param(lambda key: key.endswith(".parquet"), id="data"),
        pytest.param(lambda key: key.endswith("manifest.json"), id="manifests"),
        pytest.param(lambda key: "000000000002" in key, id="one of two"),
    ],
)
def test_what_was_not_kept_stays_in_the_outbox(  # noqa: PLR0917
    lost: Any, instance_of: Any, database: Any, bucket: Any, view: Any, waiting: Any
) -> None:
    instance = instance_of(reached=Forgetful(bucket, lost), snapshot_max_rows=5)
    with pytest.raises(BucketRefused, match=r"said that it stored systems/laptop.*does not hold"):
        upload(instance, Request(database.path))
    assert waiting() == ["sending/000000000001", "sending/000000000002"]
    assert view.keys("heads/") == []

    assert upload(instance_of(), Request(database.path)).seq == 2
    assert len(view.records()) == 10
    assert waiting() == []


def test_a_head_that_was_not_kept_is_written_by_the_next_run(
    instance_of: Any, database: Any, bucket: Any, view: Any, waiting: Any
) -> None:
    upload(instance_of(), Request(database.path))
    database.add(11, 11)
    instance = instance_of(reached=Forgetful(bucket, lambda key: key.startswith("heads/")))
    with pytest.raises(BucketRefused, match=r"said that it stored heads/laptop.*does not hold"):
        upload(instance, Request(database.path))
    assert waiting() == ["sending/000000000002"]
    assert view.head_seq() == 1

    assert upload(instance_of(), Request(database.path)).status == "committed"
    assert view.head_seq() == 2
    assert waiting() == []


def test_a_file_that_was_cut_is_found_out(
    instance_of: Any, database: Any, bucket: Any, waiting: Any
) -> None:
    class Cutting(Forgetful):
        def put(self, key: str, data: bytes, *, if_absent: bool = False) -> str:
            kept = bytes(data)[:10] if key.endswith(".parquet") else data
            return str(self._inner.put(key, kept, if_absent=if_absent))

    with pytest.raises(BucketRefused, match="does not hold it"):
        upload(instance_of(reached=Cutting(bucket, lambda key: False)), Request(database.path))
    assert waiting() == ["sending/000000000001"]


def test_a_listing_that_lags_behind_is_no_loss(
    instance_of: Any, database: Any, bucket: Any
) -> None:
    class Lagging:
        def __init__(self) -> None:
            self.written = False

        def __getattr__(self, name: str) -> Any:
            return getattr(bucket, name)

        def put(self, key: str, data: bytes, *, if_absent: bool = False) -> str:
            self.written = True
            return str(bucket.put(key, data, if_absent=if_absent))

        def list(self, prefix: str, **options: Any) -> Any:
            return iter(()) if self.written else bucket.list(prefix, **options)

    result = upload(instance_of(reached=Lagging()), Request(database.path))
    assert result.status == "committed"


def test_it_costs_one_listing_a_run(instance_of: Any, database: Any, faulty: Any) -> None:
    upload(instance_of(), Request(database.path))
    database.add(11, 20)
    counted = faulty()
    upload(instance_of(reached=counted, snapshot_max_rows=2), Request(database.path))
    assert sum(call.startswith("list ") for call in counted.calls) == 2
    assert sum(call.startswith("head ") for call in counted.calls) == 0
