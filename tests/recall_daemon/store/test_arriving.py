"""Whatever the order in which snapshots arrive, twice, with a restore in between: the same."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).parents[1] / "agents"))  # snapshots

from snapshots import deliver, replay

from recall_daemon.agents.config import Agents, AgentSetting, Strategy
from recall_daemon.store import audit, conflicts, versions, weigh
from recall_daemon.store.ledger import Place
from recall_daemon.store.store import Store
from recall_daemon.versions.content import hash_of, root_id, version_id
from recall_wire.records import Record

EXAMPLES = 300 if "RECALLD_TEST_SOAK" in os.environ else 4

START = datetime(2026, 1, 1, tzinfo=UTC)
LATER = START + timedelta(days=1)
HOME = "laptop"
AGENTS = [AgentSetting(name="high", priority="high"), AgentSetting(name="low", priority="low")]
STRATEGIES: list[Strategy] = ["latest_wins", "highest_importance", "agent_priority"]
STRATEGIES += ["manual_review", "merge_content"]


@dataclass(frozen=True)
class Write:
    """What an instance makes of an earlier write, by its number; of none, where it says no base."""

    system: str
    base: int | None
    changes: dict[str, Any]
    minute: int


changes = st.fixed_dictionaries(
    {},
    optional={
        "text": st.sampled_from(["One. Two.", "1. Two.", "One. 2.", "Uno. Two."]),
        "importance": st.sampled_from([0.25, 0.5, 0.75]),
        "metadata": st.sampled_from(["{}", '{"a":1}', '{"a":2,"b":1}']),
        "agent_id": st.sampled_from(["high", "low"]),
        "op": st.sampled_from(["upsert", "upsert", "upsert", "delete"]),
    },
)
writes = st.lists(
    st.builds(
        Write,
        system=st.sampled_from([HOME, "desk", "shed"]),
        base=st.none() | st.integers(0, 5),
        changes=changes,
        minute=st.integers(1, 9),
    ),
    min_size=1,
    max_size=6,
)


def snapshots(wanted: Sequence[Write]) -> list[tuple[Place, Record]]:
    """As the instances publish them, the home system's first row before all; once it has deleted
    the memory it says no more: what it said before is kept only where somebody else spoke, too."""
    first = Record("m", text="One. Two.", importance=0.5, agent_id="low", updated_at=START)
    made, names = [(Place(HOME, 1), first)], [root_id(first)]
    said: list[Record] = [first]
    is_gone = False
    for number, write in enumerate(wanted, 2):
        if is_gone and write.system == HOME:
            continue
        base = None if write.base is None else min(write.base, len(said) - 1)
        before = first if base is None else said[base]
        at = START + timedelta(minutes=write.minute, seconds=number)
        op = write.changes.get("op", "upsert") if write.system == HOME else "upsert"
        if op == "delete":
            made.append((Place(HOME, number), Record("m", op="delete")))
            is_gone = True
            continue
        plain = {name: value for name, value in write.changes.items() if name != "op"}
        record = replace(before, updated_at=at, **plain)
        parents = [] if base is None else [names[base]]
        names.append(version_id(parents, hash_of(record)))
        said.append(record)
        target = None if write.system == HOME else HOME
        row = replace(record, base_version=parents[0] if parents else None, target_system=target)
        made.append((Place(write.system, number), row))
    return made


def outcome(store: Store) -> Any:
    with store.read() as connection:
        assert audit.problems(connection) == []
        held = weigh.hold(connection, HOME, "m", LATER)
        known = conflicts.of_memory(connection, HOME, "m")
        kept = versions.load(connection, HOME, "m")
        return (
            audit.logical_hash(connection),
            held.head_id,
            {(one.conflict_id, one.state) for one in known if one.state != "superseded"},
            {
                one.version_id
                for one in (*held.versions, *kept)
                if one.kind == "edit" or (one.kind == "home" and held.head_id)
            },
        )


@pytest.mark.timeout(3600)
def test_snapshots_in_any_order_twice_and_with_a_restore(
    tmp_path: Path, with_store: Any, rows: Any
) -> None:
    numbers = iter(range(10**9))

    def fresh() -> Store:
        return Store(with_store(tmp_path / str(next(numbers))))

    def delivered(store: Store, strategy: Strategy, order: Sequence[tuple[Place, Record]]) -> Store:
        agents = Agents(AGENTS, strategy=strategy)
        for place, record in order:
            deliver(store, place, rows([record]), agents, LATER)
        return store

    @settings(max_examples=EXAMPLES, deadline=None, database=None)
    @given(writes, st.sampled_from(STRATEGIES), st.randoms(use_true_random=False))
    def same(wanted: list[Write], strategy: Strategy, random: Any) -> None:
        published = snapshots(wanted)
        stores = [delivered(fresh(), strategy, published)]
        told = [outcome(stores[0])]
        shuffled = random.sample(published, len(published))
        stores.append(
            delivered(fresh(), strategy, [*shuffled, *random.sample(shuffled, len(shuffled) // 2)])
        )
        cut = random.randrange(len(published) + 1)
        before = delivered(fresh(), strategy, shuffled[:cut])
        restored = fresh()
        replay(before, restored)
        stores += [before, delivered(restored, strategy, random.sample(published, len(published)))]
        told += [outcome(stores[1]), outcome(restored)]
        for store in stores:
            store.close()
        assert told[1] == told[0]
        assert told[2] == told[0]

    same()


def test_an_edit_does_not_bring_back_what_its_own_system_deleted(store: Store, rows: Any) -> None:
    first = Record("m", text="One.")
    edit = Record("m", text="Two.", target_system=HOME, base_version=root_id(first))
    said = [first, Record("m", op="delete")]
    for number, record in enumerate(said, 1):
        deliver(store, Place(HOME, number), rows([record]), Agents(), LATER)
    deliver(store, Place("desk", 1), rows([edit]), Agents(), LATER)
    with store.read() as connection:
        assert weigh.hold(connection, HOME, "m", LATER).head_id in ("", None)
        row = versions.find_row(connection, HOME, "m")
    assert row is not None
    assert row.state == "deleted"


def test_a_restored_hub_has_the_stub_of_what_was_deleted_before_it_came(
    tmp_path: Path, store: Store, with_store: Any, rows: Any
) -> None:
    edit = Record("m", text="Two.", target_system=HOME)
    sent = [(Place(HOME, 1), Record("m", text="One.")), (Place(HOME, 2), Record("m", op="delete"))]
    for place, record in [*sent, (Place("desk", 1), edit)]:
        deliver(store, place, rows([record]), Agents(), LATER)
    restored = Store(with_store(tmp_path / "restored"))
    replay(store, restored)
    deliver(restored, sent[1][0], rows([sent[1][1]]), Agents(), LATER)
    hashes = [outcome(one)[0] for one in (store, restored)]
    restored.close()
    assert hashes[0] == hashes[1]
