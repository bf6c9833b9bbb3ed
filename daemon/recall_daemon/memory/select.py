"""Which memories a forget is about. Read-only."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from recall_daemon.errors import ForgetHeld, NothingToForget
from recall_daemon.memory.criteria import Criteria, Identity
from recall_daemon.search.verbatim import holds, normal
from recall_daemon.store import selection
from recall_daemon.store.selection import Row, Wanted
from recall_daemon.store.store import Store
from recall_wire.errors import TransientError

# With their texts, so that a page of long ones still fits.
PAGE_ROWS = 10_000
PAGE_TEXTS = 200

ColdTexts = Callable[[Sequence[int]], Mapping[int, str]]


@dataclass(frozen=True)
class Selected:
    """`to_forget` are live or deleted, `gone` were forgotten before; by row id.

    `unread`: cold memories whose text is lost, so that nobody knows whether they hold the query.
    """

    to_forget: tuple[Row, ...]
    gone: tuple[Row, ...]
    unread: int = 0

    @property
    def row_ids(self) -> set[int]:
        return {row.row_id for row in (*self.to_forget, *self.gone)}

    @property
    def by_system(self) -> dict[str, set[str]]:
        """The ids of all of them, per system."""
        found: dict[str, set[str]] = {}
        for row in (*self.to_forget, *self.gone):
            found.setdefault(row.system_id, set()).add(row.memory_id)
        return found


def select(store: Store, cold_texts: ColdTexts, criteria: Criteria) -> Selected:
    """The memories that meet the criteria.

    By id and system what is deleted or was forgotten before is found too: its text may still lie in
    the bucket. Raises `NothingToForget` where there is none, or a named id is not known;
    `ForgetHeld` where the text of a cold row cannot be read, so that nobody knows what it holds.
    """
    by_content = bool(criteria.project or criteria.since or criteria.until or criteria.query)
    wanted = Wanted(
        criteria.ids,
        criteria.system,
        criteria.project,
        criteria.since,
        criteria.until,
        is_live=by_content,
    )
    found, unread = _holding(store, cold_texts, wanted, criteria.query)
    if not by_content:
        _check_known(criteria.ids, found, criteria.system)
    if not found:
        raise NothingToForget("no memory is like that; nothing was forgotten")
    return Selected(
        tuple(row for row in found if row.state != "forgotten"),
        tuple(row for row in found if row.state == "forgotten"),
        unread,
    )


def _holding(
    store: Store, cold_texts: ColdTexts, wanted: Wanted, query: str | None
) -> tuple[list[Row], int]:
    """The rows, and how many more could not be read."""
    limit = PAGE_ROWS if query is None else PAGE_TEXTS
    found: list[Row] = []
    after = unread = 0
    while True:
        with store.read() as connection:
            page = selection.rows(
                connection, wanted, after=after, limit=limit, with_text=query is not None
            )
        if not page:
            return found, unread
        after = page[-1].row_id
        if query is not None:
            page, lost = _with_query(page, cold_texts, normal(query))
            unread += lost
        found += page


def _with_query(page: Sequence[Row], cold_texts: ColdTexts, wanted: str) -> tuple[list[Row], int]:
    far = [row.row_id for row in page if row.tier == "cold" and row.has_text]
    texts = _fetched(far, cold_texts) if far else {}
    held = [row for row in page if holds(texts.get(row.row_id, row.text), wanted)]
    # Without their texts: thousands of long ones would not fit.
    return [replace(row, text=None) for row in held], len(far) - len(texts)


def _fetched(row_ids: Sequence[int], cold_texts: ColdTexts) -> Mapping[int, str]:
    try:
        return cold_texts(row_ids)
    except TransientError as error:
        raise ForgetHeld(
            f"cold memories cannot be read now, so nobody knows which hold the query: {error}",
            hint="nothing was forgotten; try again when the bucket answers",
        ) from error


def _check_known(ids: Sequence[Identity], found: Sequence[Row], systems: Sequence[str]) -> None:
    """A misspelt id must not look like one that is gone."""
    known = {(row.system_id, row.memory_id) for row in found}
    unknown = [f"{one}/{two}" for one, two in ids if (one, two) not in known]
    if unknown:
        of = f" in {', '.join(systems[:3])}" if systems else ""
        more = f" and {len(unknown) - 1} more" if len(unknown) > 1 else ""
        raise NothingToForget(
            f"there is no memory {unknown[0][:120]!r}{of}{more}; nothing was forgotten"
        )
