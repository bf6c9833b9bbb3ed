"""Ids that come twice: found whatever their order and number."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from recall_wire.formats.repeats import find_repeats


@given(st.lists(st.binary(max_size=2), max_size=60))
def test_the_last_of_each_id_stays(ids: list[bytes]) -> None:
    repeats = find_repeats(lambda: iter([(0, identity) for identity in ids]))
    kept = [
        position
        for position, identity in enumerate(ids)
        if identity and not repeats.is_superseded((0, identity), position)
    ]
    last = {identity: position for position, identity in enumerate(ids) if identity}
    assert kept == sorted(last.values())


@given(st.lists(st.sets(st.sampled_from([b"a", b"b", b"a#1", b"a#2", b"a#1#2"])), max_size=3))
def test_no_two_rows_of_several_tables_share_a_name(tables: list[set[bytes]]) -> None:
    rows = [(number, identity) for number, ids in enumerate(tables) for identity in sorted(ids)]
    repeats = find_repeats(lambda: iter(rows), ("0", "1", "2"))
    names = [repeats.renamed(key) for key in rows]
    assert len(set(names)) == len(rows)
    assert all(name.startswith(key[1]) for name, key in zip(names, rows, strict=True))


def test_one_pass_where_nothing_repeats() -> None:
    passes = 0

    def rows() -> object:
        nonlocal passes
        passes += 1
        return iter([(0, b"a"), (0, b"b"), (0, b""), (0, b"")])

    find_repeats(rows)  # type: ignore[arg-type]
    assert passes == 1
