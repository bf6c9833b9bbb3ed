"""Rows move down by their age and importance, and lose nothing on the way."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from recall_daemon.store import cold_files, tiers
from recall_daemon.store.vectors import changes
from recall_daemon.tiers import ageing
from recall_wire.records import Record

DAY = timedelta(days=1)


def test_a_row_ages_hot_to_warm_to_cold(world: Any, make_record: Any) -> None:
    world.merge([make_record(n) for n in range(40)])
    before, texts = world.logical_hash(), world.texts()

    world.pass_days(6)
    assert world.tiers.age().to_warm == 0
    world.pass_days(2)
    run = world.tiers.age()
    assert (run.to_warm, run.to_cold) == (40, 0)
    assert set(world.tier_of().values()) == {"warm"}
    world.pass_days(83)
    run = world.tiers.age()
    assert (run.to_warm, run.to_cold) == (0, 40)
    assert set(world.tier_of().values()) == {"cold"}

    assert world.logical_hash() == before
    assert world.texts() == texts
    assert world.tiers.age().to_cold == 0


def test_a_hot_row_that_is_old_enough_goes_all_the_way(world: Any, make_record: Any) -> None:
    world.merge([make_record(1)])
    world.pass_days(100)
    assert world.tiers.due() == {"to_warm": 1, "to_cold": 1}
    run = world.tiers.age()
    assert (run.to_warm, run.to_cold) == (1, 1)
    assert world.tiers.due() == {"to_warm": 0, "to_cold": 0}


def test_age_is_the_lesser_of_the_events_and_that_since_it_was_merged(
    world: Any, make_record: Any
) -> None:
    now = world.now
    world.merge(
        [
            make_record(1, created_at=now - 400 * DAY),
            make_record(2, created_at=None),
            make_record(3, created_at=now + 30 * DAY),
            make_record(4, created_at=now + 5 * DAY),
        ]
    )
    assert world.tiers.report()["future_rows"] == 2
    world.pass_days(8)
    world.tiers.age()
    assert world.tier_of() == {"m1": "warm", "m2": "warm", "m3": "hot", "m4": "hot"}
    world.pass_days(5)
    world.tiers.age()
    assert world.tier_of()["m4"] == "warm"
    assert world.tiers.report()["future_rows"] == 1


def test_pinned_and_important_rows_stay(world: Any, make_record: Any) -> None:
    world.merge(
        [
            make_record(1, tags=("x", "pinned")),
            make_record(2, metadata='{"pinned": true}'),
            make_record(3, importance=0.8),
            make_record(4, metadata='{"pinned": false}'),
            make_record(5, metadata='no json, "pinned"'),
            make_record(6, metadata='{"a": {"pinned": true}}'),
            make_record(7, importance=None, tags=()),
        ]
    )
    world.pass_days(100)
    world.tiers.age()
    stay = {f"m{n}" for n in (1, 2, 3)}
    assert {m for m, tier in world.tier_of().items() if tier == "hot"} == stay
    assert {m for m, tier in world.tier_of().items() if tier == "cold"} == {
        f"m{n}" for n in (4, 5, 6, 7)
    }


def test_a_vector_becomes_a_code_once_no_hot_row_has_its_text(world: Any, make_record: Any) -> None:
    world.merge([make_record(1, text="shared by two"), make_record(3, text="alone")])
    full = vectors_of(world)
    world.pass_days(8)
    world.merge([make_record(2, text="shared by two", created_at=world.now)])
    world.tiers.age()
    assert coded(world) == {"alone"}
    assert change_numbers(world) == sorted(change_numbers(world))
    assert np.allclose(vectors_of(world)["alone"], full["alone"], atol=0.02)
    world.pass_days(8)
    world.tiers.age()
    assert coded(world) == {"alone", "shared by two"}


def test_a_text_whose_last_hot_row_was_deleted_is_coded_too(world: Any, make_record: Any) -> None:
    world.merge([make_record(1, text="twice")])
    world.pass_days(8)
    world.merge([make_record(2, text="twice", created_at=world.now)])
    world.tiers.age()
    assert coded(world) == set()
    world.merge([Record("m2", op="delete")])
    assert world.tiers.age().to_warm == 0
    assert coded(world) == {"twice"}


def coded(world: Any) -> set[str]:
    return {
        row[0]
        for row in world.sql(
            "SELECT m.text FROM passages p JOIN memories m USING (text_hash) WHERE code IS NOT NULL"
        )
    }


def change_numbers(world: Any) -> list[int]:
    with world.store.read() as connection:
        return list(changes(connection, "test@1:4", 0, 100)["change_no"].to_pylist())


def vectors_of(world: Any) -> dict[str, Any]:
    texts = dict(world.sql("SELECT text_hash, text FROM memories WHERE text IS NOT NULL"))
    with world.store.read() as connection:
        table = changes(connection, "test@1:4", 0, 100)
    matrix = table["vector"].to_pylist()
    return {
        texts[name]: np.array(vector)
        for name, vector in zip(table["text_hash"].to_pylist(), matrix, strict=True)
    }


def test_no_row_turns_cold_before_its_text_is_embedded(world: Any, make_record: Any) -> None:
    world.merge([make_record(1), make_record(2, text=None)], embed=False)
    world.pass_days(100)
    assert world.tiers.age().to_cold == 1
    assert world.tier_of() == {"m1": "warm", "m2": "cold"}
    world.embed()
    assert world.tiers.age().to_cold == 1


def test_a_cold_row_has_something_to_show(world: Any, make_record: Any) -> None:
    world.merge([make_record(0, text="brief"), make_record(19), make_record(2, text=None)])
    world.pass_days(100)
    world.tiers.age()
    rows = world.all_rows()
    assert rows["m0"].summary == "brief"
    assert 0 < len(rows["m19"].summary) <= 200
    assert rows["m2"].summary is None
    assert {row.text for row in rows.values()} == {None}


def test_batches_are_bounded_in_rows_and_bytes(
    world: Any, make_record: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ageing, "BATCH_ROWS", 10)
    monkeypatch.setattr(ageing, "BATCH_BYTES", 2_000)
    records = [make_record(n) for n in range(35)]
    world.merge([*records, make_record(99, text="large " * 1_000)])
    before = world.texts()
    world.pass_days(100)
    world.tiers.age()
    files = world.sql("SELECT rows FROM cold_files WHERE retired_at IS NOT NULL")
    assert len(files) > 4
    assert max(files)[0] <= 10
    assert world.texts() == before


def test_metadata_counts_like_text_in_a_batch(world: Any, make_record: Any) -> None:
    world.merge([make_record(1, text="four", metadata='{"k": "' + "x" * 5_000 + '"}')])
    world.pass_days(1)
    with world.store.read() as connection:
        due = tiers.due(connection, "hot", world.now, keep_importance=1.0)
    assert due.far_bytes.tolist() == [4 + 5_000 + 9]


def test_rows_that_changed_while_a_file_was_written_stay(
    world: Any, make_record: Any, fake: Any
) -> None:
    world.merge([make_record(n) for n in range(10)])
    world.pass_days(100)
    put = fake.put

    def put_and_change(*arguments: Any, **options: Any) -> str:
        fake.put = put
        world.merge([make_record(3, text="changed meanwhile"), Record("m4", op="delete")])
        return str(put(*arguments, **options))

    fake.put = put_and_change
    assert world.tiers.age().to_cold == 8
    assert world.texts()["m3"] == "changed meanwhile"
    assert world.tier_of()["m3"] == "hot"
    assert "m4" not in world.texts()
    world.logical_hash()


def test_updates_and_deletes_of_cold_rows(world: Any, make_record: Any) -> None:
    world.merge([make_record(n) for n in range(10)])
    world.pass_days(100)
    world.tiers.age()
    world.merge(
        [make_record(1, text="new words"), Record("m2", op="delete"), Record("m3", op="forget")]
    )
    same = make_record(4)
    world.merge([same])

    rows = world.read()
    assert (rows["m1"].tier, rows["m1"].text, rows["m1"].summary) == ("hot", "new words", None)
    assert (rows["m1"].cold_file, rows["m1"].cold_row) == (None, None)
    assert rows.keys() == {f"m{n}" for n in (0, 1, 4, 5, 6, 7, 8, 9)}
    # The same content again is no change: the row stays where it is.
    assert (rows["m4"].tier, rows["m4"].text) == ("cold", same.text)
    world.logical_hash()
    assert world.tiers.report()["cold"]["dead_share"] == 0.3

    # Its age is that of the event and the first merge, so the next run ages it again.
    world.tiers.age()
    assert world.tier_of()["m1"] == "cold"
    assert world.texts()["m1"] == "new words"


def test_without_a_bucket_rows_turn_warm_and_no_further(world: Any, make_record: Any) -> None:
    world.bucket = None
    world.reopen()
    world.merge([make_record(1)])
    world.pass_days(100)
    run = world.tiers.age()
    assert (run.to_warm, run.to_cold) == (1, 0)
    assert "RECALLD_BUCKET_URL" in (run.problem or "")


def test_an_object_that_reads_back_otherwise_moves_nothing(
    world: Any, make_record: Any, fake: Any
) -> None:
    world.merge([make_record(1)])
    world.pass_days(100)
    put = fake.put
    fake.put = lambda key, data, **options: put(key, data[:-9] + b"x" + data[-8:], **options)
    with pytest.raises(Exception, match="does not read back"):
        world.tiers.age()
    assert world.tier_of() == {"m1": "warm"}
    fake.put = put
    world.tiers.age()
    assert world.tier_of() == {"m1": "cold"}


def test_contents_are_checked_against_their_hashes(world: Any, make_record: Any) -> None:
    world.merge([make_record(n) for n in range(3)])
    world.pass_days(10)
    world.tiers.age()
    with world.store.read() as connection:
        ids = [row.row_id for row in world.all_rows().values()]
        table = cold_files.contents(connection, ids)
        assert cold_files.differing(connection, table) == 0
        for name in ("text", "metadata", "project"):
            column = pa.array(["other"] * 3, pa.string())
            changed = table.set_column(table.schema.get_field_index(name), name, column)
            assert cold_files.differing(connection, changed) == 3


def test_coding_twice_changes_nothing(world: Any, make_record: Any) -> None:
    world.merge([make_record(n) for n in range(5)])
    world.pass_days(8)
    world.tiers.age()
    sql = "SELECT * FROM passages ORDER BY change_no"
    before = world.sql(sql)
    hashes = [row[0] for row in world.sql("SELECT text_hash FROM passages")]
    assert world.store.write(lambda c: tiers.code_texts(c, hashes)) == 0
    assert world.sql(sql) == before


def test_the_report_counts_each_tier(world: Any, make_record: Any) -> None:
    world.merge([make_record(n) for n in range(4)])
    world.pass_days(100)
    world.tiers.age()
    world.merge([make_record(n, created_at=world.now) for n in range(10, 13)])
    told = world.tiers.report()
    by_tier = {tier["tier"]: tier for tier in told["tiers"]}
    assert [by_tier[t]["rows"] for t in ("hot", "warm", "cold")] == [3, 0, 4]
    assert by_tier["hot"]["vector_bytes"] == 3 * 16
    assert by_tier["cold"]["vector_bytes"] == 4 * 8
    assert by_tier["cold"]["oldest_age_s"] == 100 * 86_400
    assert (told["cold"]["files"], told["cold"]["rows"]) == (1, 4)
    assert told["last_run"]["to_cold"] == 4
