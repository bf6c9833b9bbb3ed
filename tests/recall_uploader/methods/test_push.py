"""Pushed instead: what waits reaches the hub over HTTP, and the bucket when it is back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from recall_uploader.errors import HubRefused, SystemClash
from recall_uploader.extract import Request
from recall_uploader.forget import forget
from recall_uploader.methods.hub import HubClient
from recall_uploader.outbox_run import items, take_out
from recall_uploader.upload import upload
from recall_wire.errors import BucketRefused, BucketUnreachable, SettingsInvalid, TransientError


class Away:
    """A bucket that nothing reaches, until it is back."""

    def __init__(self, error: Exception | None = None) -> None:
        self.error = error or BucketUnreachable("nothing answers")
        self.calls = 0

    def __getattr__(self, name: str) -> Any:
        if name == "close":
            return lambda: None
        return self._fail

    def _fail(self, *_: object, **__: object) -> Any:
        self.calls += 1
        raise self.error


def ids(first: int, last: int) -> list[str]:
    return [f"m{number:04d}" for number in range(first, last + 1)]


def problem(status: int, code: str = "", detail: str = "said so", **headers: str) -> Any:
    return lambda method, path: (
        status,
        {"code": code, "detail": detail, "status": status, "_headers": headers},
    )


@pytest.fixture
def instance(instance_of: Any, push_to: Any) -> Callable[..., Any]:
    return lambda **options: push_to(instance_of(**options))


def test_with_the_bucket_away_the_hub_gets_it_and_the_bucket_later(
    instance: Any, database: Any, hub: Any, view: Any, waiting: Any
) -> None:
    result = upload(instance(reached=Away(), snapshot_max_rows=6), Request(database.path))

    assert (result.status, result.method, result.seq, result.rows) == ("pushed", "http", 2, 10)
    assert hub.merged == {1: ids(1, 6), 2: ids(7, 10)}
    assert waiting() == ["new/000000000001", "new/000000000002"]
    assert "nothing answers" in result.warnings[0]
    assert "2 pushed snapshots wait in the outbox for the bucket" in result.warnings

    later = upload(instance(), Request(database.path))
    assert (later.status, later.method, later.seq, later.rows) == ("committed", "cloud", 2, 10)
    assert view.seqs() == [1, 2]
    assert waiting() == []
    assert [hub.manifests[seq] for seq in (1, 2)] == [
        manifest.to_bytes() for manifest in view.manifests()
    ]


def test_what_the_hub_has_is_not_pushed_again(instance: Any, database: Any, hub: Any) -> None:
    upload(instance(reached=Away()), Request(database.path))
    hub.calls.clear()

    again = upload(instance(reached=Away()), Request(database.path))

    assert (again.status, again.rows, again.seq) == ("pushed", 0, 1)
    assert hub.calls == ["GET laptop"]
    database.add(11, 11)
    assert upload(instance(reached=Away()), Request(database.path)).rows == 1
    assert hub.merged[2] == ["m0011"]


def test_batches_hold_a_thousand_memories_at_most(instance: Any, database: Any, hub: Any) -> None:
    database.add(11, 2_500)
    upload(instance(reached=Away()), Request(database.path))
    assert hub.rows_sent == {(1, 1): "1000", (1, 2): "1000", (1, 3): "500"}
    assert hub.merged[1] == ids(1, 2_500)


def test_a_push_that_was_cut_goes_on_with_what_the_hub_has(
    instance: Any, database: Any, hub: Any, waiting: Any
) -> None:
    database.add(11, 2_500)
    hub.fault = lambda method, path: (500, {}) if path.endswith("batches/3") else None
    result = upload(instance(reached=Away()), Request(database.path))
    assert (result.status, hub.merged) == ("queued", {})
    assert waiting() == ["new/000000000001"]

    hub.fault = lambda method, path: None
    hub.calls.clear()
    assert upload(instance(reached=Away()), Request(database.path)).status == "pushed"
    assert [call for call in hub.calls if "batches" in call] == ["PUT laptop/1/batches/3"]


def test_a_lost_answer_is_asked_again_and_nothing_is_doubled(
    instance: Any, database: Any, hub: Any
) -> None:
    hub.lose_answers = True
    assert upload(_known(instance), Request(database.path)).status == "queued"
    hub.lose_answers = False
    assert upload(instance(reached=Away()), Request(database.path)).status == "pushed"
    assert hub.merged == {1: ids(1, 10)}


def _known(instance: Any) -> Any:
    """With a state already: made while the bucket was there."""
    from recall_uploader.init import init

    init(instance())
    return instance(reached=Away())


@pytest.mark.parametrize("refusal", [BucketRefused("no such bucket"), BucketUnreachable("gone")])
def test_a_bucket_that_refuses_is_gone_round_too(
    instance: Any, database: Any, hub: Any, refusal: Exception
) -> None:
    result = upload(instance(reached=Away(refusal)), Request(database.path))
    assert result.status == "pushed"
    assert str(refusal) in result.warnings


def test_without_a_bucket_pushed_is_delivered(
    instance: Any, database: Any, hub: Any, waiting: Any
) -> None:
    hub_only = replace(instance(), connect=None)
    assert upload(hub_only, Request(database.path)).status == "pushed"
    assert waiting() == []
    assert upload(hub_only, Request(database.path)).status == "unchanged"
    database.add(11, 11)
    assert upload(hub_only, Request(database.path)).seq == 2
    assert forget(hub_only, ["m0001"]).seq == 3
    assert hub.merged == {1: ids(1, 10), 2: ["m0011"], 3: ["m0001"]}


def test_force_http_never_touches_the_bucket(instance: Any, database: Any, hub: Any) -> None:
    away = Away()
    forced = instance(reached=away, force_method="http", hub_url=hub.url)
    assert upload(forced, Request(database.path)).status == "pushed"
    assert away.calls == 0


def test_force_cloud_never_touches_the_hub(instance: Any, database: Any, hub: Any) -> None:
    with pytest.raises(BucketUnreachable):
        upload(instance(reached=Away(), force_method="cloud"), Request(database.path))
    assert hub.calls == []


def test_without_fallback_the_hub_is_not_asked(instance: Any, database: Any, hub: Any) -> None:
    with pytest.raises(BucketUnreachable):
        upload(instance(reached=Away(), enable_fallback=False), Request(database.path))
    assert hub.calls == []


def test_the_first_number_comes_from_the_hub_when_the_bucket_is_away(
    instance: Any, database: Any, hub: Any
) -> None:
    hub.standing = {"highest_seq": 7, "manifest_sha256": "f" * 64, "machine": "machine-a"}
    assert upload(instance(reached=Away()), Request(database.path)).seq == 8


def test_a_system_that_the_hub_knows_from_another_machine_is_not_taken(
    instance: Any, database: Any, hub: Any
) -> None:
    hub.standing = {"highest_seq": 7, "manifest_sha256": "f" * 64, "machine": "machine-b"}
    with pytest.raises(SystemClash, match="another machine"):
        upload(instance(reached=Away()), Request(database.path))
    assert hub.merged == {}


def test_a_number_that_somebody_else_has_stops_it(instance: Any, database: Any, hub: Any) -> None:
    hub.fault = lambda method, path: (
        (409, {"code": "snapshot_clash", "detail": "another snapshot 1 of laptop is there"})
        if method == "PUT"
        else None
    )
    with pytest.raises(SystemClash, match="another snapshot 1 of laptop"):
        upload(instance(reached=Away()), Request(database.path))


def test_a_snapshot_the_hub_cannot_take_is_sent_again_under_a_new_number(
    instance: Any, database: Any, hub: Any, view: Any
) -> None:
    hub.fault = lambda method, path: (
        (422, {"code": "snapshot_quarantined", "detail": "column text is not valid"})
        if path.endswith("/1/commit")
        else None
    )
    first = upload(instance(reached=Away()), Request(database.path))
    assert "the hub could not take snapshot 1: column text is not valid" in first.warnings

    assert upload(instance(reached=Away()), Request(database.path)).seq == 2
    assert hub.merged == {2: ids(1, 10)}
    assert upload(instance(), Request(database.path)).status == "committed"
    assert view.seqs() == [1, 2]


@pytest.mark.parametrize(
    ("fault", "sentence"),
    [
        (problem(401), "answers 40[13]: said so; see to hub_token"),
        (problem(403), "answers 40[13]: said so; see to hub_token"),
        (problem(404), "is no hub that takes snapshots"),
        (problem(418), "answers 418: said so"),
        (lambda *_: (200, {"hello": "world"}), "is no hub that takes snapshots"),
    ],
)
def test_what_a_person_must_mend_is_one_sentence(  # noqa: PLR0917
    fault: Any, sentence: str, instance: Any, database: Any, hub: Any, waiting: Any
) -> None:
    _known(instance)
    hub.fault = fault
    forced = instance(force_method="http", hub_url=hub.url)
    with pytest.raises(HubRefused, match=sentence) as caught:
        upload(forced, Request(database.path))
    assert "s3cret" not in str(caught.value)
    assert waiting() == ["new/000000000001"]


@pytest.mark.parametrize(
    "fault",
    [
        problem(500),
        problem(502),
        problem(503, "push_busy"),
        problem(507, "disk_full"),
        problem(429),
        problem(409, "push_held"),
        problem(422, "batch_corrupt"),
        lambda *_: None,
    ],
    ids=["500", "502", "busy", "full", "429", "held", "corrupt", "closed"],
)
def test_what_may_pass_keeps_it_queued(
    fault: Any, instance: Any, database: Any, hub: Any, waiting: Any
) -> None:
    known = _known(instance)
    hub.fault = fault if fault(1, 2) else hub.fault
    hub.lose_answers = fault(1, 2) is None
    assert upload(known, Request(database.path)).status == "queued"
    assert waiting() == ["new/000000000001"]


def test_retry_after_is_honoured(hub: Any, instance_of: Any) -> None:
    hub.fault = problem(503, "push_busy", **{"retry-after": "7"})
    client = HubClient(hub.url, None)
    from recall_uploader.deadline import Deadline
    from recall_uploader.errors import HubThrottled

    with pytest.raises(HubThrottled) as caught:
        client.told("laptop", Deadline.after(30))
    client.close()
    assert caught.value.retry_after_s == 7


def test_the_token_travels_in_its_header(instance: Any, database: Any, hub: Any) -> None:
    upload(instance(reached=Away()), Request(database.path))
    assert hub.tokens == {"Bearer s3cret"}


def test_a_hub_that_is_not_there_is_one_sentence(instance_of: Any, database: Any) -> None:
    nobody = replace(
        instance_of(), connect=None, connect_hub=lambda: HubClient("http://127.0.0.1:9", None)
    )
    with pytest.raises(TransientError, match=r"the hub at http://127.0.0.1:9 does not answer"):
        upload(nobody, Request(database.path))


def test_three_failures_let_the_bucket_rest_a_minute(
    instance: Any, database: Any, hub: Any
) -> None:
    away = Away()
    for number in range(4):
        database.add(11 + number, 11 + number)
        upload(instance(reached=away), Request(database.path))
    calls = away.calls
    database.add(20, 20)
    result = upload(instance(reached=away), Request(database.path))
    assert away.calls == calls
    said = "cloud failed 3 times in a row and rests a while (the last time: nothing answers)"
    assert said in result.warnings


def test_a_raw_database_is_pushed_as_memories(instance: Any, database: Any, hub: Any) -> None:
    request = Request(database.path, raw=True)
    assert upload(instance(reached=Away()), request).status == "pushed"
    assert hub.merged == {1: ids(1, 10)}
    assert upload(instance(reached=Away()), request).rows == 0


def test_a_raw_database_of_long_texts_is_pushed_in_small_batches(
    instance: Any, tmp_path: Path, make_database: Any, hub: Any
) -> None:
    database = make_database(tmp_path / "long.duckdb")
    database.add(1, 30)
    database.execute("UPDATE conversations_v2 SET content = repeat(content, 30000)")
    sizes: list[int] = []
    hub.fault = lambda method, path: sizes.append(1) if "/batches/" in path else None
    upload(instance(reached=Away()), Request(database.path, raw=True))
    assert len(sizes) > 3
    assert hub.merged == {1: ids(1, 30)}


def test_a_token_is_in_no_message(instance_of: Any) -> None:
    from recall_uploader.deadline import Deadline
    from recall_uploader.errors import HubUnreachable

    client = HubClient("http://127.0.0.1:9", "s3cret\n")
    with pytest.raises(HubUnreachable) as caught:
        client.told("laptop", Deadline.after(30))
    client.close()
    assert "s3cret" not in str(caught.value)
    assert caught.value.__suppress_context__


def test_a_pushed_snapshot_is_not_discarded(instance: Any, database: Any, hub: Any) -> None:
    upload(instance(reached=Away()), Request(database.path))
    assert [item.pushed for item in items(instance())] == [True]
    with pytest.raises(SettingsInvalid, match="the hub has snapshot 1 already"):
        take_out(instance(), [1])


def test_a_file_that_rots_before_it_is_pushed_is_taken_out(
    instance: Any, database: Any, hub: Any, tmp_path: Path
) -> None:
    known = _known(instance)
    hub.fault = problem(503)
    upload(known, Request(database.path))
    (data,) = (tmp_path / "state/outbox/new/000000000001").glob("*.parquet")
    rotten = bytearray(data.read_bytes())
    rotten[200] ^= 1
    data.write_bytes(rotten)
    hub.fault = lambda method, path: None

    result = upload(known, Request(database.path))
    assert any("is not what it was" in warning for warning in result.warnings)
    assert upload(known, Request(database.path)).rows == 10
    assert hub.merged == {1: [], 2: ids(1, 10)}


def test_what_was_merged_with_its_answer_lost_can_be_taken_out(
    instance: Any, database: Any, hub: Any, waiting: Any
) -> None:
    known = _known(instance)
    hub.lose_answers_to = "commit"
    assert upload(known, Request(database.path)).status == "queued"
    assert hub.merged == {1: ids(1, 10)}
    hub.lose_answers_to = ""

    take_out(known, [1])
    again = upload(known, Request(database.path))

    assert (again.status, again.seq) == ("pushed", 2)
    assert hub.merged == {1: ids(1, 10), 2: ids(1, 10)}


def test_another_snapshot_under_a_merged_number_is_a_clash(
    instance: Any, database: Any, hub: Any
) -> None:
    hub.merged[1], hub.manifests[1] = ["x"], b'{"kind": "delta", "instance_id": "another"}'
    with pytest.raises(SystemClash, match="another snapshot 1"):
        upload(_known(instance), Request(database.path))
    assert hub.merged == {1: ["x"]}
