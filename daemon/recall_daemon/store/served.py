"""The row of `memories` that says what is served of a memory, written past its system's order."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from recall_daemon.store import merge_few, runs, statements, vanished
from recall_daemon.store.ledger import Place
from recall_daemon.store.merge_few import Batch, Known
from recall_daemon.store.store import Connection, take_numbers
from recall_wire.records import Record

Name = tuple[str, str]

_GONE = """
UPDATE store.memories SET state = 'deleted', content_hash = '', tier = 'hot', text_hash = NULL,
    summary = NULL, cold_file = NULL, cold_row = NULL, kind = NULL, text = NULL, created_at = NULL,
    updated_at = NULL, project = NULL, namespace = NULL, session_id = NULL, agent_id = NULL,
    user_id = NULL, tags = NULL, importance = NULL, parent_id = NULL, metadata = NULL,
    base_version = NULL,
    change_no = (?::BIGINT[])[list_position(?::BIGINT[], rowid)]
WHERE rowid IN {}
"""


def write(
    connection: Connection,
    system_id: str,
    record: Record,
    now: datetime,
    *,
    known: Known | None = None,
) -> None:
    """Have the memory's row say this, whatever place it had. A forgotten memory stays forgotten.

    Its place in the system's order stays; a memory that is new here takes the next one. `known` is
    what was looked up in the same transaction.
    """
    known = known or _known(connection, system_id, record)
    if known is None:
        taken = runs.take(connection, system_id, 1, now)
        batch = Batch(taken.place, taken.row_no, (record,))
    elif known.state == "forgotten":
        return
    else:
        seq, sub, row_no = known.rank
        batch = Batch(Place(system_id, seq, sub), row_no, (record,))
    plan = merge_few.replacing(batch, known)
    numbers = take_numbers(connection, {"row_id": plan.new, "change_no": plan.changes})
    merge_few.apply(connection, plan, numbers["row_id"], numbers["change_no"], now)


def delete(connection: Connection, names: Sequence[Name], now: datetime) -> int:
    """Leave nothing but stubs of memories, those that never came here too; returns how many were
    live.

    Their content is gone from the row: whoever wants it back has kept it as a version.
    """
    batches = [Batch(Place(system_id, 0, 0), 0, (Record(name),)) for system_id, name in names]
    known = merge_few.known(connection, batches)
    new = [name for name in names if name not in known]
    for system_id, memory_id in new:
        write(connection, system_id, Record(memory_id), now)
    if new:
        known = merge_few.known(connection, batches)
    live = [one for one in known.values() if one.state == "live"]
    if not live:
        return 0
    first = take_numbers(connection, {"change_no": len(live)})["change_no"]
    rows = [one.at for one in live]
    numbers = list(range(first, first + len(live)))
    statements.run(
        connection,
        _GONE.format(statements.places(1, len(rows))),
        [numbers, rows, *rows],
    )
    vanished.note(connection, {one.text_hash for one in live if one.text_hash})
    return len(live) - len(new)


def _known(connection: Connection, system_id: str, record: Record) -> Known | None:
    nowhere = Batch(Place(system_id, 0, 0), 0, (record,))
    return merge_few.known(connection, [nowhere]).get((system_id, record.memory_id))
