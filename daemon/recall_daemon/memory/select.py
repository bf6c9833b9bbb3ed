"""Which memories a forget is about. Read-only."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from recall_daemon.errors import ForgetHeld, ForgetInvalid, NothingToForget
from recall_daemon.memory.criteria import Criteria
from recall_daemon.search.verbatim import holds, normal
from recall_daemon.store import selection
from recall_daemon.store.selection import Identity, Row, Wanted
from recall_daemon.store.store import Store
from recall_wire.errors import TransientError

PAGE_ROWS = 50_000
# With their texts, of which one may be long.
PAGE_TEXTS = 1_000

_LIVE, _ANY = ("live",), ("live", "deleted", "forgotten")

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
    def rows(self) -> tuple[Row, ...]:
        return (*self.to_forget, *self.gone)

    @property
    def row_ids(self) -> set[int]:
        return {row.row_id for row in self.rows}

    @property
    def by_system(self) -> dict[str, set[str]]:
        """The ids of all of them, per system."""
        found: dict[str, set[str]] = {}
        for row in self.rows:
            found.setdefault(row.system_id, set()).add(row.memory_id)
        return found


def select(
    store: Store,
    cold_texts: ColdTexts,
    criteria: Criteria,
    *,
    upto_row: int | None = None,
    within: Collection[str] | None = None,
) -> Selected:
    """The memories that meet the criteria, perhaps none; of those that the hub had got until it
    gave the row id `upto_row`. `within`: the systems that whoever asks may reach, None for all;
    what is of others is as if it were nowhere, in what is raised, too.

    By id and system what is deleted or was forgotten before is found too: its text may still lie in
    the bucket. Raises `NothingToForget` where a named id is not known, `ForgetInvalid` where it
    could be one of several, `ForgetHeld` where the text of a cold row cannot be read, so that
    nobody knows what it holds.
    """
    by_content = bool(criteria.project or criteria.since or criteria.until or criteria.query)
    wanted = Wanted(
        _LIVE if by_content else _ANY,
        _named(store, criteria, within),
        _reached(criteria.system, within),
        criteria.project or None,
        criteria.since,
        criteria.until,
        upto_row,
    )
    if criteria.query is not None:
        return _holding(store, cold_texts, wanted, normal(criteria.query))
    return _parted(_pages(store, wanted))


def forgotten_before(store: Store) -> Selected:
    """Everything that was ever forgotten, by this hub or by a snapshot."""
    return _parted(_pages(store, Wanted(("forgotten",))))


def _parted(pages: Iterator[list[Row]], unread: int = 0) -> Selected:
    found = [row for page in pages for row in page]
    gone = tuple(row for row in found if row.state == "forgotten")
    return Selected(tuple(row for row in found if row.state != "forgotten"), gone, unread)


def _pages(store: Store, wanted: Wanted) -> Iterator[list[Row]]:
    after = 0
    while True:
        with store.read() as connection:
            page = selection.rows(connection, wanted, after=after, limit=PAGE_ROWS)
        yield page
        if len(page) < PAGE_ROWS:
            return
        after = page[-1].row_id


def _holding(store: Store, cold_texts: ColdTexts, wanted: Wanted, query: str) -> Selected:
    """Those whose text holds the query. By ranges of row ids: each row is read once."""
    with store.read() as connection:
        last = selection.last_row(connection)
    found: list[Row] = []
    unread = 0
    for after in range(0, last, PAGE_TEXTS):
        with store.read() as connection:
            page = selection.rows(
                connection,
                wanted,
                after=after,
                upto=after + PAGE_TEXTS,
                limit=PAGE_TEXTS,
                with_text=True,
            )
        page, lost = _with_query(page, cold_texts, query)
        unread += lost
        found += page
    return _parted(iter([found]), unread)


def _with_query(page: Sequence[Row], cold_texts: ColdTexts, query: str) -> tuple[list[Row], int]:
    far = [row.row_id for row in page if row.tier == "cold" and row.text_hash is not None]
    texts = _fetched(far, cold_texts) if far else {}
    held = [row for row in page if holds(texts.get(row.row_id, row.text), query)]
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


def _reached(asked: Sequence[str], within: Collection[str] | None) -> Sequence[str] | None:
    """None for all systems."""
    if within is None:
        return asked or None
    return [name for name in asked if name in within] if asked else list(within)


def _named(
    store: Store, criteria: Criteria, within: Collection[str] | None
) -> list[Identity] | None:
    """None where nothing is named: any memory."""
    if not criteria.ids:
        return list(criteria.identities) or None
    return [*criteria.identities, *_identities(store, criteria, within)]


def _identities(store: Store, criteria: Criteria, within: Collection[str] | None) -> list[Identity]:
    """The memories that the ids name: MEMORY_ID of one system, or of those that the criteria name,
    or else SYSTEM/MEMORY_ID. A misspelt id must not look like one that is gone."""
    names, systems = dict.fromkeys(criteria.ids), set(criteria.system)
    reached = _reached(criteria.system, within)
    parts = {name: _split(name) for name in names}
    with store.read() as connection:
        known = selection.named(connection, {*names, *(memory for _, memory in parts.values())})
    plain: defaultdict[str, list[Identity]] = defaultdict(list)
    for identity in known:
        if reached is None or identity[0] in reached:
            plain[identity[1]].append(identity)
    found: list[Identity] = []
    unknown: list[str] = []
    for name, (system_id, memory_id) in parts.items():
        whole, split = plain[name], [i for i in plain[memory_id] if i[0] == system_id]
        # Beside a system's name an id is that system's own, whatever else it could be read as.
        meant = set(whole or split) if systems else {*whole, *split}
        if len(meant) > 1 and not systems:
            raise _ambiguous(name, meant)
        found += sorted(meant)
        unknown += [] if meant else [name]
    if unknown:
        raise _unknown(unknown, criteria.system)
    return found


def _split(name: str) -> Identity:
    """A system's id holds no slash, a memory's may."""
    system_id, _, memory_id = name.partition("/")
    return system_id, memory_id


def _ambiguous(name: str, meant: set[Identity]) -> ForgetInvalid:
    which = ", ".join(f"{system}/{memory}" for system, memory in sorted(meant)[:5])
    return ForgetInvalid(
        f"{name[:120]!r} could be any of {len(meant)} memories; nothing was forgotten",
        hint=f"write one of {which}, or name the system",
    )


def _unknown(names: Sequence[str], systems: Sequence[str]) -> NothingToForget:
    of = f" in {', '.join(systems[:3])}" if systems else ""
    more = f", nor {len(names) - 1} others that were named" if len(names) > 1 else ""
    return NothingToForget(
        f"there is no memory {names[0][:120]!r}{of}{more}; nothing was forgotten"
    )
