"""Consolidation: one memory of several short ones that say related things; the originals stay."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Final

import numpy as np

from recall_daemon.agents.decay import anchor_of, effective
from recall_daemon.agents.upkeep import grouping
from recall_daemon.index.follower import Index
from recall_daemon.index.growable import Array
from recall_daemon.jobs import Progress
from recall_daemon.store import consolidation as table
from recall_daemon.store.consolidation import Member
from recall_daemon.store.lives import Life
from recall_daemon.store.store import Connection, Store
from recall_daemon.tiers.summary import central
from recall_wire.records import Record

KIND: Final = "consolidation"
TEXT_CHARS: Final = 1_000

# So many memories of one agent and user are compared at a time, each with the next half of them at
# least: time grows with the number of memories, and memory does not.
WINDOW: Final = 1_024

# A memory's row and its version, by the number of the row's last change.
Candidate = tuple[int, int]


class Consolidation:
    """Blocking. `follow` brings the index up to the store; `on_merged` is told after each commit.

    Related are memories of one system, project, namespace, agent and user that share all their
    categories, and each of whom has a cosine of at least `grouping.SIMILARITY` with each other.
    """

    def __init__(
        self,
        store: Store,
        index: Index,
        *,
        follow: Callable[[], object],
        on_merged: Callable[[], None],
        now: Callable[[], datetime],
    ) -> None:
        self._store = store
        self._index = index
        self._follow = follow
        self._on_merged = on_merged
        self._now = now

    def run(self, progress: Progress) -> None:
        """Derive a memory from each group that there is. Idempotent: what was consolidated once is
        not consolidated again, and a derived memory that was deleted does not come back."""
        self._follow()
        made = looked_at = 0
        for block in self._blocks():
            for window in _windows(block, self._groups):
                for group in window:
                    made += self._store.write(lambda c, group=group: self._derive(c, group))  # type: ignore[misc]
                    self._on_merged()
                progress.update(made, detail=f"{made} made of {looked_at + len(block)} looked at")
            looked_at += len(block)

    def _blocks(self) -> Iterator[list[Candidate]]:
        """What may be together at all, in the order in which it was made."""
        with self._store.read() as connection:
            found = table.candidates(connection, grouping.MEMBERS_MIN)
        rows = list(zip(found["row_id"].to_pylist(), found["change_no"].to_pylist(), strict=True))
        ends = np.flatnonzero(np.diff(found["block"].to_numpy(), append=-1)) + 1
        start = 0
        for end in ends.tolist():
            yield rows[start:end]
            start = end

    def _groups(self, window: Sequence[Candidate]) -> list[list[Candidate]]:
        vectors = self._vectors(window)
        embedded = [one for one in window if one in vectors]
        if len(embedded) < grouping.MEMBERS_MIN:
            return []
        found = grouping.groups(np.stack([vectors[one] for one in embedded]))
        return [[embedded[at] for at in group] for group in found]

    def _vectors(self, window: Sequence[Candidate]) -> Mapping[Candidate, Array]:
        """The mean of each text's passages, of the rows that the index has as they are now."""
        view = self._index.view()
        columns, known = view.columns, len(view.columns.ordinal_of)
        here = {row_id: change_no for row_id, change_no in window if row_id < known}
        ordinals = columns.ordinals(list(here))
        same = (ordinals >= 0) & (columns.change_no[ordinals] == list(here.values()))
        current = [row_id for row_id, is_same in zip(here, same.tolist(), strict=True) if is_same]
        passages = view.passages_of(current)
        return {(row_id, here[row_id]): each.mean(axis=0) for row_id, each in passages.items()}

    def _derive(self, connection: Connection, group: Sequence[Candidate]) -> bool:
        """False where one of them is not what it was: the next run sees the group anew."""
        found = table.members(connection, [row_id for row_id, _ in group])
        if [(one.row_id, one.change_no) for one in found] != list(group):
            return False
        if len({one.key for one in found}) > 1:
            return False
        now = self._now()
        record = derived(found, now)
        system_id = found[0].system_id
        if table.is_known(connection, system_id, record.memory_id):
            return False
        life = Life(system_id, record.memory_id, None, "medium", record.importance, now)
        table.derive(connection, record, life, found, now)
        return True


def _windows(
    block: Sequence[Candidate], groups: Callable[[Sequence[Candidate]], list[list[Candidate]]]
) -> Iterator[list[list[Candidate]]]:
    """The groups of a block, window by window; what is left of one is compared with the next."""
    left: list[Candidate] = []
    step = WINDOW // 2
    for start in range(0, len(block), step):
        window = [*left, *block[start : start + step]]
        found = groups(window)
        grouped = {one for group in found for one in group}
        left = [one for one in window if one not in grouped][-step:]
        yield found


def derived(members: Sequence[Member], now: datetime) -> Record:
    """The memory that is made of these: their most central sentences, and what they all share.

    Its id is a hash of theirs, so that it can be made once only.
    """
    first = members[0]
    names = [f"{one.system_id}/{one.memory_id}" for one in members]
    shared = set(first.tags).intersection(*(one.tags for one in members))
    return Record(
        derived_id(names),
        kind="insight",
        text=central([one.text for one in members], TEXT_CHARS),
        created_at=now,
        updated_at=now,
        project=first.project,
        namespace=first.namespace,
        agent_id=first.agent_id,
        user_id=first.user_id,
        tags=tuple(tag for tag in dict.fromkeys(first.tags) if tag in shared),
        importance=round(max(_importance(one, now) for one in members), 6),
        metadata=json.dumps({"derived_from": names}, ensure_ascii=False),
    )


def derived_id(names: Sequence[str]) -> str:
    """The same for the same memories in whatever order."""
    said = json.dumps(sorted(names), ensure_ascii=False)
    return f"insight_{hashlib.sha256(said.encode()).hexdigest()[:32]}"


def _importance(one: Member, now: datetime) -> float:
    anchored = (one.anchor_importance, one.anchored_at)
    anchor = anchor_of(one.memory_tier, anchored, one.importance, one.merged_at)
    return effective(anchor, now)
