"""The hits of one page: rows from the store, then everything a reader wants to see of them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import NamedTuple

import numpy as np

from recall_daemon.index.feed import StoredRow
from recall_daemon.index.fields import RowFields, fields_of
from recall_daemon.search.answer import Context, Scores, SearchHit, Turn, Witness
from recall_daemon.search.exact import BY_ID, VERBATIM
from recall_daemon.search.explain import explain
from recall_daemon.search.passages import Passage, best_passage
from recall_daemon.search.rank import Ranked, Ranker
from recall_daemon.search.reach import Told

WITNESSES_MAX = 100
# A row that changes between two looks is looked at again.
_LOOKS_MAX = 5
_LONG_AGO = datetime(1, 1, 2, tzinfo=UTC)


class Shown(NamedTuple):
    """A row and its fields, of one version."""

    row: StoredRow
    fields: RowFields


class Page:
    """Collects groups of a listing, then makes hits of them. Used by one thread, once."""

    def __init__(self, ranker: Ranker) -> None:
        self._ranker = ranker
        self._witnesses: dict[int, tuple[list[Shown], int]] = {}
        self.rows: dict[int, tuple[Ranked, Shown]] = {}

    def add(self, groups: Sequence[Sequence[Ranked]]) -> None:
        """Take the groups in; one of which no row is there and passes any more is left out."""
        asked = [row.row_id for group in groups for row in group]
        here = set(self._ranker.view.passing(asked, self._ranker.filters).tolist())
        left = [[row for row in group if row.row_id in here] for group in groups]
        members = {group[0].row_id: self._members(group) for group in left if group}
        rows = self._shown([i for own, _ in members.values() for i in own])
        for group in left:
            own, count = members[group[0].row_id] if group else ([], 0)
            alive = [(i, rows[i]) for i in own if i in rows]
            if alive:
                row_id, newest = max(alive, key=lambda item: item[1].fields.created_at or _LONG_AGO)
                self.rows[row_id] = (group[0], newest)
                gone = len(own) - len(alive)
                self._witnesses[row_id] = ([row for _, row in alive], count - gone)

    def _members(self, group: Sequence[Ranked]) -> tuple[list[int], int]:
        """The group's rows and those that share a text with them, and how many there are.

        Of more than `WITNESSES_MAX` the newest. Copies rank side by side, so a text whose only copy
        in the pool is this has no other. Of rows that were asked for by their id no copy under
        another id takes the place.
        """
        own = [row.row_id for row in group]
        if len(own) == 1 or group[0].exact == BY_ID:
            return own, len(own)
        view, filters = self._ranker.view, self._ranker.filters
        sharing = view.sharing(own, filters, WITNESSES_MAX)
        members = list(dict.fromkeys([*own, *(i for same, _ in sharing for i in same)]))
        textless = int(np.count_nonzero(view.text_slots(own) < 0))
        count = sum(many for _, many in sharing) + textless
        if count <= WITNESSES_MAX:
            return members, count
        newest = np.asarray(members)[view.order(members, np.zeros(len(members)))]
        return newest[:WITNESSES_MAX].tolist(), count

    def hits(self) -> tuple[SearchHit, ...]:
        around = self._around()
        ids = dict.fromkeys([*self.rows, *(i for turns in around.values() for i in turns.all)])
        wanted = {row_id: row for row_id, (_, row) in self.rows.items()}
        wanted |= self._shown([row_id for row_id in ids if row_id not in wanted])
        texts = self._ranker.texts.with_texts({i: shown.row for i, shown in wanted.items()})
        whole = {i: Shown(texts[i], shown.fields) for i, shown in wanted.items()}
        self._note(whole)
        return tuple(
            self._hit(ranked, row_id, whole[row_id], _context(around.get(row_id), whole))
            for row_id, (ranked, _) in self.rows.items()
        )

    def _note(self, whole: Mapping[int, Shown]) -> None:
        """What is told, witnesses and neighbours included."""
        reach = self._ranker.reach
        if reach.sight is None:
            return
        told = [*whole.values(), *(one for some, _ in self._witnesses.values() for one in some)]
        reach.note(
            [Told(one.fields.system_id, one.row.memory_id, one.fields.agent_id) for one in told]
        )

    def _shown(self, row_ids: Sequence[int]) -> dict[int, Shown]:
        """The live rows among these that are within reach.

        Their fields are the index's where it is as far as the store, which saves half of the
        columns; else the store's, of the same version.
        """
        found: dict[int, Shown] = {}
        wanted = list(row_ids)
        for _ in range(_LOOKS_MAX):
            if not wanted:
                break
            rows = self._ranker.texts.rows(wanted)
            versions = {row_id: row.change_no for row_id, row in rows.items()}
            fields = self._ranker.view.fields(versions)
            rest = [row_id for row_id in rows if row_id not in fields]
            if rest:
                fields |= fields_of(self._ranker.texts.rows_now(rest), versions)
            found |= {i: Shown(row, fields[i]) for i, row in rows.items() if i in fields}
            wanted = [row_id for row_id in rows if row_id not in fields]
        # What the index let pass may be of another project by now, and a neighbour of any.
        reach = self._ranker.reach
        if reach.is_everything:
            return found
        return {
            row_id: shown for row_id, shown in found.items() if reach.shows(row_id, shown.fields)
        }

    def _around(self) -> dict[int, _Turns]:
        if not self._ranker.request.context:
            return {}
        known = self._ranker.view.passing(list(self.rows), self._ranker.filters)
        n = self._ranker.request.context
        windows = self._ranker.view.around(known, n).tolist()
        return {window[n]: _Turns(window[:n], window[n + 1 :]) for window in windows}

    def _hit(self, ranked: Ranked, row_id: int, shown: Shown, context: Context | None) -> SearchHit:
        request = self._ranker.request
        witnesses, count = self._witnesses[row_id]
        row, fields = shown
        return SearchHit(
            system_id=fields.system_id,
            memory_id=row.memory_id,
            kind=fields.kind,
            text=row.text,
            project=fields.project,
            session_id=fields.session_id,
            created_at=fields.created_at,
            tier=row.tier,
            score=ranked.score,
            agent_id=fields.agent_id,
            seq=row.seq,
            tags=fields.tags,
            scores=_scores(ranked),
            passage=self._passage(row_id, row.text),
            summary=row.summary,
            text_missing=row.text_missing,
            witnesses=tuple(_witness(witness) for witness in witnesses),
            witness_count=count,
            context=(context or Context((), ())) if request.context else None,
            explanation=explain(ranked, request) if request.explain else None,
        )

    def _passage(self, row_id: int, text: str | None) -> Passage | None:
        if text is None:
            return None
        asked, vector, view = self._ranker.asked, self._ranker.vector, self._ranker.view

        def near() -> tuple[int, int | None] | None:
            if vector is None or not len(view.passing([row_id], self._ranker.filters)):
                return None
            return view.passage(vector, row_id)

        phrases = [*asked.quotes, asked.plain, *asked.identifiers]
        return best_passage(text, sought=asked.content.split(), phrases=phrases, near=near)


class _Turns:
    """Row ids around a hit, in the order in which they were said."""

    def __init__(self, before: Iterable[int], after: Iterable[int]) -> None:
        self.before = tuple(row_id for row_id in before if row_id >= 0)
        self.after = tuple(row_id for row_id in after if row_id >= 0)

    @property
    def all(self) -> tuple[int, ...]:
        return self.before + self.after


def _context(turns: _Turns | None, rows: Mapping[int, Shown]) -> Context | None:
    if turns is None:
        return None
    before, after = (
        tuple(_turn(rows[i]) for i in side if i in rows) for side in (turns.before, turns.after)
    )
    return Context(before, after)


def _turn(shown: Shown) -> Turn:
    row, created_at = shown.row, shown.fields.created_at
    return Turn(row.memory_id, row.text, created_at, row.summary, row.text_missing)


def _scores(ranked: Ranked) -> Scores:
    cosine = math.nan if ranked.pool.meaning is None else float(ranked.pool.meaning[ranked.at])
    return Scores(
        meaning=None if math.isnan(cosine) else cosine,
        words=float(ranked.pool.bm25[ranked.at]),
        verbatim=ranked.exact == VERBATIM,
    )


def _witness(shown: Shown) -> Witness:
    row, fields = shown
    return Witness(fields.system_id, row.memory_id, fields.created_at, fields.agent_id)
