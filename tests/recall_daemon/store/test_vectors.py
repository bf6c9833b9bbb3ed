"""One vector per distinct text and space; the backlog is what is missing."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from recall_daemon.store import audit, pending, vectors
from recall_daemon.store.ledger import Place
from recall_daemon.store.merge import merge_rows
from recall_daemon.store.pending import Pending
from recall_daemon.store.store import Connection, Store
from recall_daemon.store.vectors import Embedded
from recall_wire.records import Record, text_hash

NOW = datetime(2026, 1, 2, tzinfo=UTC)
SPACE = "m@r:3"
Rows = Callable[[Sequence[Record]], pa.Table]


def merge(store: Store, seq: int, table: pa.Table) -> None:
    store.write(lambda connection: merge_rows(connection, Place("a", seq), table, NOW))


def waiting(store: Store, space: str = SPACE) -> list[str | None]:
    with store.read() as connection:
        return [pending.text for pending in pending.backlog(connection, space, 10)]


def test_each_distinct_text_waits_once_and_only_in_spaces_that_lack_it(
    store: Store, rows: Rows
) -> None:
    records = [
        Record("1", text="same  text"),
        Record("2", text="same text"),
        Record("3", text=None),
        Record("4", text=" \n"),
        Record("5", text="other"),
    ]
    merge(store, 1, rows(records))
    assert waiting(store) == ["same  text", "other"]

    embed(store, "same text", "other")

    assert waiting(store) == []
    assert waiting(store, "another@r:3") == ["same  text", "other"]
    with store.read() as connection:
        assert pending.backlog_size(connection, SPACE) == 0
        assert pending.backlog_size(connection, "") == 2


def test_a_deleted_row_waits_for_nothing(store: Store, rows: Rows) -> None:
    merge(store, 1, rows([Record("1", text="gone")]))
    merge(store, 2, rows([Record("1", op="delete")]))

    assert waiting(store) == []


def put(store: Store, text: str, *vectors_: Sequence[float], space: str = SPACE) -> None:
    """One passage of four characters for each vector."""
    spans = [(4 * at, 4 * at + 4) for at in range(len(vectors_))]
    embedded = Embedded(str(text_hash(text)), spans, np.array(vectors_, dtype=np.float32))
    store.write(lambda c: vectors.put(c, space, [embedded]))


def embed(store: Store, *texts: str, space: str = SPACE) -> None:
    for text in texts:
        put(store, text, (1, 1, 1), space=space)


def fed(store: Store, after: int = 0, space: str = SPACE) -> list[tuple[Any, ...]]:
    """(change_no, text_hash, passage, start, end, vector) of what an index hears."""
    with store.read() as connection:
        table = vectors.changes(connection, space, after, 100)
    return [tuple(row.values()) for row in table.to_pylist()]


def set_tier(store: Store, memory_id: str, tier: str) -> None:
    """A row as ageing leaves it, as far as vectors are concerned."""
    text = "NULL" if tier == "cold" else "text"
    store.write(
        lambda c: c.execute(
            f"UPDATE memories SET tier = ?, text = {text}, cold_file = 7, cold_row = 3 "
            "WHERE memory_id = ?",
            [tier, memory_id],
        )
    )


def test_passages_are_fed_in_the_order_of_their_numbers(store: Store, rows: Rows) -> None:
    merge(store, 1, rows([Record(text, text=text) for text in ("one", "two")]))
    one, two = str(text_hash("one")), str(text_hash("two"))
    put(store, "one", (1, 0, 0), (0, 1, 0))
    put(store, "two", (0, 0, 1))

    numbers = [row[0] for row in fed(store)]
    assert numbers == sorted(set(numbers))
    assert [row[1:] for row in fed(store)] == [
        (one, 0, 0, 4, [1, 0, 0]),
        (one, 1, 4, 8, [0, 1, 0]),
        (two, 0, 0, 4, [0, 0, 1]),
    ]
    assert [row[1] for row in fed(store, after=numbers[1])] == [two]
    assert fed(store, space="other@r:3") == []


def test_the_passages_of_a_text_replace_all_earlier_ones(store: Store, rows: Rows) -> None:
    merge(store, 1, rows([Record("1", text="one")]))
    put(store, "one", (1, 0, 0), (0, 1, 0), (0, 0, 1))
    put(store, "one", (2, 0, 0), space="other@r:3")
    last = fed(store)[-1][0]
    put(store, "one", (0, 2, 0), (0, 0, 2))

    assert [row[2:] for row in fed(store)] == [(0, 0, 4, [0, 2, 0]), (1, 4, 8, [0, 0, 2])]
    assert all(row[0] > last for row in fed(store))
    assert [row[5] for row in fed(store, space="other@r:3")] == [[2, 0, 0]]


def test_a_text_needs_a_span_for_each_vector(store: Store) -> None:
    for spans in ([], [(0, 1), (1, 2)]):
        short = Embedded("h", spans, np.ones((len(spans) // 2, 3), dtype=np.float32))
        with store.read() as connection, pytest.raises(ValueError, match="one span for each"):
            vectors.put(connection, SPACE, [short])


@pytest.mark.parametrize(("tiers", "is_coded"), [("warm cold", True), ("cold hot", False)])
def test_a_text_without_a_hot_row_is_kept_as_its_code(
    store: Store, rows: Rows, tiers: str, is_coded: bool
) -> None:
    merge(store, 1, rows([Record("0", text="same"), Record("1", text="same")]))
    for memory_id, tier in enumerate(tiers.split()):
        set_tier(store, str(memory_id), tier)
    put(store, "same", (0.1, 0.2, -0.4))

    with store.read() as connection:
        found = connection.execute("SELECT vector IS NULL, code FROM passages").fetchall()
    assert found == [(True, [32, 64, -127])] if is_coded else [(False, None)]
    assert fed(store)[0][5] == pytest.approx([0.1, 0.2, -0.4], abs=0.4 / 254)


def test_a_vector_of_no_numbers_has_a_code_of_no_numbers() -> None:
    codes, scales = vectors.quantised(
        np.array([[np.nan, 1], [np.inf, 1], [0, 0], [1e-30, 0]], dtype=np.float32)
    )
    assert codes.tolist() == [[0, 0], [0, 0], [0, 0], [127, 0]]
    assert np.isfinite(codes * scales[:, None]).all(axis=1).tolist() == [False, False, True, True]


def embedded(store: Store) -> set[tuple[str, str]]:
    with store.read() as connection:
        assert "vectors" not in " ".join(audit.problems(connection))
        found = connection.execute("SELECT space_id, text_hash FROM passages").fetchall()
    return set(found)


@pytest.mark.parametrize(
    "after",
    [Record("1", op="forget"), Record("1", op="delete"), Record("1", text="new"), Record("1")],
)
def test_what_a_row_no_longer_says_leaves_no_vector_in_any_space(
    store: Store, rows: Rows, after: Record
) -> None:
    merge(store, 1, rows([Record("1", text="old"), Record("2", text="other")]))
    embed(store, "old", "other")
    embed(store, "old", space="another@r:3")

    merge(store, 2, rows([after]))

    assert embedded(store) == {(SPACE, text_hash("other"))}


def test_a_text_that_another_row_has_keeps_its_vector(store: Store, rows: Rows) -> None:
    merge(store, 1, rows([Record("1", text="same"), Record("2", text="same")]))
    embed(store, "same")

    merge(store, 2, rows([Record("1", op="forget")]))
    assert embedded(store) == {(SPACE, text_hash("same"))}

    merge(store, 3, rows([Record("2", text="edited"), Record("3", text="same")]))
    assert embedded(store) == {(SPACE, text_hash("same"))}

    merge(store, 4, rows([Record("3", op="delete")]))
    assert embedded(store) == set()


def test_a_change_beside_the_text_keeps_its_vector(store: Store, rows: Rows) -> None:
    merge(store, 1, rows([Record("1", text="same", project="p")]))
    embed(store, "same")
    merge(store, 2, rows([Record("1", text="same", project="q")]))

    assert embedded(store) == {(SPACE, text_hash("same"))}


def test_a_vector_that_comes_too_late_is_not_kept(store: Store, rows: Rows) -> None:
    merge(store, 1, rows([Record("1", text="old"), Record("2", text="there")]))
    merge(store, 2, rows([Record("1", op="forget")]))

    embed(store, "old", "there", "never")

    assert embedded(store) == {(SPACE, text_hash("there"))}


def test_a_text_that_comes_back_can_be_embedded_again(store: Store, rows: Rows) -> None:
    merge(store, 1, rows([Record("1", text="back")]))
    embed(store, "back")
    merge(store, 2, rows([Record("1", op="delete")]))
    merge(store, 3, rows([Record("1", text="back")]))
    assert waiting(store) == ["back"]

    embed(store, "back")
    assert embedded(store) == {(SPACE, text_hash("back"))}


def test_those_named_are_neither_looked_up_nor_counted(store: Store, rows: Rows) -> None:
    merge(store, 1, rows([Record(text, text=text) for text in ("one", "two", "three")]))
    besides = [str(text_hash("one")), "unknown"]

    with store.read() as connection:
        found = pending.backlog(connection, SPACE, 1, besides=besides)
        assert [pending.text for pending in found] == ["two"]
        assert pending.backlog_size(connection, SPACE, besides=besides) == 2


def test_counting_the_backlog_reads_no_text(store: Store, rows: Rows) -> None:
    merge(store, 1, rows([Record("1", text="one")]))
    with store.read() as connection:
        asked = Asked(connection)
        pending.backlog(asked, SPACE, 1)  # type: ignore[arg-type]
        assert "text" in asked.columns_read()
        pending.backlog_size(asked, SPACE)  # type: ignore[arg-type]
        assert "text_hash" in asked.columns_read()
        assert "text" not in asked.columns_read()


class Asked:
    """A connection that remembers the last statement."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self.sql = ""
        self.parameters: object = None

    def execute(self, sql: str, parameters: object) -> Connection:
        self.sql, self.parameters = sql, parameters
        return self._connection.execute(sql, parameters)

    def columns_read(self) -> set[str]:
        """Every word of the last statement's plan."""
        plan = self._connection.execute(f"EXPLAIN {self.sql}", self.parameters).fetchall()
        return set(re.findall(r"\w+", plan[0][1]))


def given(store: Store, table: pa.Table) -> int:
    return store.write(lambda c: vectors.take_from_snapshot(c, SPACE, table))


def test_vectors_that_came_along_are_kept_once_per_text(store: Store, rows: Rows) -> None:
    table = rows(
        [
            Record("1", text="t", embedding=(1.0, 0.0, 0.0)),
            Record("2", text="t", embedding=(1.0, 0.0, 0.0)),
            Record("3", text=None, embedding=(0.0, 0.0, 1.0)),
            Record("4", text="bare"),
        ]
    )
    merge(store, 1, table)

    assert given(store, table) == 2
    assert [row[2:] for row in fed(store)] == [(0, 0, None, [1, 0, 0])]
    with store.read() as connection:
        assert pending.backlog(connection, SPACE, 10) == [
            Pending(str(text_hash("t")), "t", given=True, row_id=1),
            Pending(str(text_hash("bare")), "bare", row_id=4),
        ]


def test_a_vector_that_came_along_replaces_none(store: Store, rows: Rows) -> None:
    table = rows([Record("1", text="t", embedding=(1.0, 0.0, 0.0)), Record("2", text="u")])
    merge(store, 1, table)
    put(store, "t", (0, 1, 0), (0, 0, 1))
    before = fed(store)

    assert given(store, table) == 1
    assert fed(store) == before


def test_what_came_along_and_is_one_window_is_only_looked_at(store: Store, rows: Rows) -> None:
    table = rows([Record("1", text="t", embedding=(1.0, 0.0, 0.0)), Record("2", text="long")])
    merge(store, 1, table)
    given(store, table)
    before = fed(store)
    put(store, "long", (1, 0, 0), (0, 1, 0))
    texts = [(str(text_hash("t")), 1), (str(text_hash("long")), 2), ("unknown", 3)]
    for _ in range(2):
        store.write(lambda c: vectors.confirm(c, SPACE, texts))
    store.write(lambda c: vectors.confirm(c, SPACE, []))

    assert waiting(store) == []
    assert fed(store)[0] == (*before[0][:4], 1, before[0][5])
    assert [row[4] for row in fed(store)] == [1, 4, 8]
    with store.read() as connection:
        found = audit.problems(connection)
    # The ledger knows neither the snapshot nor its system: this test merges rows alone.
    assert [problem for problem in found if "vector" in problem or "passage" in problem] == []


def test_what_came_along_and_is_longer_is_embedded_again(store: Store, rows: Rows) -> None:
    table = rows([Record("1", text="t", embedding=(1.0, 0.0, 0.0))])
    merge(store, 1, table)
    given(store, table)
    put(store, "t", (0, 1, 0), (0, 0, 1))

    assert waiting(store) == []
    assert [row[5] for row in fed(store)] == [[0, 1, 0], [0, 0, 1]]


def test_a_cold_text_waits_only_where_the_space_has_nothing_of_it(store: Store, rows: Rows) -> None:
    table = rows([Record("1", text="t", embedding=(1.0, 0.0, 0.0)), Record("2", text="u")])
    merge(store, 1, table)
    given(store, table)
    set_tier(store, "1", "cold")

    assert waiting(store) == ["u"]
    with store.read() as connection:
        assert pending.backlog_size(connection, SPACE) == 1
        assert pending.backlog(connection, "new@r:3", 10) == [
            Pending(str(text_hash("t")), None, cold_file=7, cold_row=3, row_id=1),
            Pending(str(text_hash("u")), "u", row_id=2),
        ]


def test_a_text_is_read_from_a_row_that_has_it_at_hand(store: Store, rows: Rows) -> None:
    merge(store, 1, rows([Record("1", text="t"), Record("2", text="u"), Record("3", text="t")]))
    set_tier(store, "1", "cold")

    assert waiting(store) == ["t", "u"]


def test_a_look_up_brings_a_bounded_number_of_bytes(
    store: Store, rows: Rows, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = ["x" * 60, "ü" * 10, "z", "y" * 30]
    merge(store, 1, rows([Record(text, text=text) for text in texts]))

    monkeypatch.setattr(pending, "BACKLOG_BYTES", 80)
    assert waiting(store) == texts[:2]
    monkeypatch.setattr(pending, "BACKLOG_BYTES", 50)
    assert waiting(store) == texts[:1]


def test_of_a_long_text_only_the_beginning_is_looked_up(store: Store, rows: Rows) -> None:
    merge(store, 1, rows([Record("1", text="word " * 900_000)]))

    assert len(waiting(store)[0] or "") == pending.EMBEDDED_CHARS
