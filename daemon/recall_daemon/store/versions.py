"""The versions of memories, the row that says what is served of each, and the journal of both."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from typing import Any, Literal

from recall_daemon.store import journal, lives, served, side_tables, statements, traces
from recall_daemon.store.lives import Life
from recall_daemon.store.merge_few import Known
from recall_daemon.store.store import Connection, next_numbers
from recall_daemon.versions.content import as_kept, from_json, hash_of, record_json, version_id
from recall_daemon.versions.graph import DERIVED, NOT_LOOKED_UP, Rank, Version
from recall_wire.records import Record

KIND = "version"

# Where nothing is to be replaced, plainly: replacing takes three times as long.
How = Literal["INSERT", "INSERT OR REPLACE"]

_COLUMNS = (
    *("version_id", "parents", "kind", "content_hash", "record", "author", "agent_id", "priority"),
    *("written_at", "seq", "sub", "row_no", "withdrawn", "cut"),
)
_SELECT = f"SELECT {', '.join(_COLUMNS)} FROM store.memory_versions"

_ROW_FIELDS = (
    *("kind", "text", "created_at", "updated_at", "project", "namespace", "session_id"),
    *("agent_id", "user_id", "tags", "importance", "parent_id", "metadata"),
)


@dataclass(frozen=True)
class Row:
    """A memory as `memories` has it. `record` is None unless it is live and its text is here.

    `known` is for whoever writes the row in the same transaction, before anything else does.
    """

    row_id: int
    state: str
    tier: str
    rank: Rank
    content_hash: str
    record: Record | None
    known: Known | None = None

    @property
    def is_live(self) -> bool:
        return self.state == "live"

    @property
    def version_id(self) -> str:
        """The version that it has as long as nobody else made one."""
        return version_id((), self.content_hash)


def find_row(connection: Connection, system_id: str, memory_id: str) -> Row | None:
    """The memory in whatever state; None for one that was never here."""
    rows = statements.run(
        connection,
        "SELECT rowid, row_id, state, tier, seq, sub, row_no, content_hash, text_hash, merged_at, "
        f"cold_file, {', '.join(_ROW_FIELDS)} FROM store.memories "
        "WHERE memory_id = ? AND system_id = ?",
        [memory_id, system_id],
    ).fetchall()
    if not rows:
        return None
    at, row_id, state, tier, seq, sub, row_no, *rest = rows[0]
    hashed, texts, merged_at, cold_file, *said = rest
    record = None
    if state == "live" and cold_file is None:
        values = dict(zip(_ROW_FIELDS, said, strict=True))
        record = Record(memory_id, **{**values, "tags": tuple(values["tags"] or ())})
    rank = (seq, sub, row_no)
    known = Known(at, row_id, state, rank, hashed, texts, merged_at)
    return Row(row_id, state, tier, rank, hashed, record, known)


def load(connection: Connection, system_id: str, memory_id: str) -> list[Version]:
    """All versions of a memory that were kept, in no order."""
    rows = statements.run(
        connection,
        f"{_SELECT} WHERE memory_id = ? AND system_id = ?",
        [memory_id, system_id],
    ).fetchall()
    return [_version(memory_id, dict(zip(_COLUMNS, row, strict=True))) for row in rows]


def home_version(system_id: str, row: Row, record: Record | None, now: datetime) -> Version:
    """What the memory's own system says, as its row has it; `record` where the row's is far."""
    if not row.is_live:
        return deleted_version(system_id, row.rank, now)
    said = row.record if record is None else record
    came = now if row.known is None else row.known.merged_at
    return Version(
        version_id=row.version_id,
        parents=(),
        kind="home",
        content_hash=row.content_hash,
        record=said,
        author=system_id,
        agent_id=None if said is None else said.agent_id,
        priority=NOT_LOOKED_UP,
        written_at=_written_at(said, now, otherwise=came),
        rank=row.rank,
    )


def deleted_version(system_id: str, rank: Rank, now: datetime) -> Version:
    """A memory's own system deleted it."""
    return Version(version_id((), ""), (), "home", "", None, system_id, None, 0, now, rank)


def arrived_version(
    system_id: str, record: Record, rank: Rank, *, priority: int, now: datetime
) -> Version:
    """What a memory's own system says of it in a snapshot or a post."""
    if record.op != "upsert":
        return deleted_version(system_id, rank, now)
    parents = () if record.base_version is None else (record.base_version,)
    hashed = hash_of(record)
    return Version(
        version_id=version_id(parents, hashed),
        parents=parents,
        kind="home",
        content_hash=hashed,
        record=as_kept(record),
        author=system_id,
        agent_id=record.agent_id,
        priority=priority,
        written_at=_written_at(record, now),
        rank=rank,
    )


def edit_version(
    record: Record,
    parents: Sequence[str],
    *,
    author: str,
    agent_id: str | None,
    priority: int,
    written_at: datetime,
) -> Version:
    """What another writer, or the hub's own API, made of a version."""
    plain = as_kept(record)
    hashed = hash_of(plain)
    return Version(
        version_id=version_id(parents, hashed),
        parents=tuple(sorted(parents)),
        kind="edit",
        content_hash=hashed,
        record=plain,
        author=author,
        agent_id=agent_id,
        priority=priority,
        written_at=written_at,
    )


@dataclass(frozen=True)
class Change:
    """What becomes of a memory: versions that are `new`, or that are there and say something else
    now (`changed`); its row says `serve`, or is deleted; and its life.

    `known` is what its row was, where that was looked up in the same transaction.
    """

    new: Sequence[Version] = ()
    changed: Sequence[Version] = ()
    serve: Record | None = None
    delete: bool = False
    life: Life | None = None
    known: Known | None = None

    @property
    def is_nothing(self) -> bool:
        nothing = not self.new and not self.changed and self.serve is None
        return nothing and not self.delete and self.life is None


def keep(
    connection: Connection, system_id: str, memory_id: str, change: Change, now: datetime
) -> None:
    """Write what becomes of a memory, in the running transaction and its journal."""
    if change.is_nothing:
        return
    new = [_plain(version) for version in change.new]
    changed = [_plain(version) for version in change.changed]
    _insert(connection, system_id, memory_id, new, "INSERT")
    _insert(connection, system_id, memory_id, changed, "INSERT OR REPLACE")
    body: dict[str, Any] = {"system_id": system_id, "memory_id": memory_id}
    body["versions"] = [*new, *changed]
    if change.life is not None:
        lives.serve(connection, change.life)
        body["life"] = side_tables.plain(asdict(change.life))
    if change.serve is not None:
        served.write(connection, system_id, change.serve, now, known=change.known)
        body["served"] = record_json(change.serve)
    elif change.delete:
        served.delete(connection, [(system_id, memory_id)], now)
        body["deleted"] = True
    journal.append(connection, KIND, body, now)


def bury(
    connection: Connection, kept: Mapping[tuple[str, str], Sequence[Version]], now: datetime
) -> None:
    """As `keep` with `delete`, of a few hundred memories: their versions are kept, the rows are
    stubs."""
    bodies: list[dict[str, Any]] = []
    values: list[Any] = []
    for (system_id, memory_id), some in kept.items():
        said = [_plain(version) for version in some]
        for one in said:
            values += [system_id, memory_id, *(one[name] for name in _COLUMNS)]
        name = {"system_id": system_id, "memory_id": memory_id}
        bodies.append({**name, "versions": said, "deleted": True})
    _put(connection, values)
    served.delete(connection, list(kept), now)
    first = next_numbers(connection, "journal", len(bodies))
    journal.append_all(connection, KIND, bodies, now, first=first)


def remove(connection: Connection, system_id: str, memory_ids: Sequence[str]) -> None:
    """Drop all that is beside forgotten memories; their stubs stay in `memories`."""
    traces.note_logged(connection, system_id, memory_ids)
    for table in ("memory_versions", "conflicts", "lives", "memory_shares", "group_members"):
        _drop(connection, table, ("system_id", "memory_id"), system_id, memory_ids)
    for end in ("from", "to"):
        _drop(connection, "relationships", (f"{end}_system", f"{end}_id"), system_id, memory_ids)


def _drop(
    connection: Connection,
    table: str,
    key: tuple[str, str],
    system_id: str,
    memory_ids: Sequence[str],
) -> None:
    statements.run(
        connection,
        f"DELETE FROM store.{table} WHERE {key[1]} IN (SELECT unnest(?::VARCHAR[])) "
        f"AND {key[0]} = ?",
        [list(memory_ids), system_id],
    )


def replay(connection: Connection, body: Mapping[str, Any], now: datetime) -> None:
    """Do again what a journal entry says. Idempotent; what was forgotten stays so."""
    system_id, memory_id = str(body["system_id"]), str(body["memory_id"])
    row = find_row(connection, system_id, memory_id)
    if row is not None and row.state == "forgotten":
        return
    _insert(connection, system_id, memory_id, body["versions"], "INSERT OR REPLACE")
    if body.get("life") is not None:
        side_tables.write(connection, "lives", [body["life"]])
    if body.get("served") is not None:
        record = from_json(memory_id, body["served"])
        if row is None or not row.is_live or row.content_hash != hash_of(record):
            served.write(connection, system_id, record, now)
    elif body.get("deleted"):
        served.delete(connection, [(system_id, memory_id)], now)


def _written_at(
    record: Record | None, now: datetime, *, otherwise: datetime | None = None
) -> datetime:
    said = None if record is None else record.updated_at or record.created_at
    return otherwise or now if said is None else min(said, now)


def _insert(
    connection: Connection,
    system_id: str,
    memory_id: str,
    said: Sequence[Mapping[str, Any]],
    how: How,
) -> None:
    values: list[Any] = []
    for one in said:
        values += [system_id, memory_id, *(one[name] for name in _COLUMNS)]
    _put(connection, values, how)


def _put(connection: Connection, values: Sequence[Any], how: How = "INSERT OR REPLACE") -> None:
    if not values:
        return
    columns = ("system_id", "memory_id", *_COLUMNS)
    statements.run(
        connection,
        f"{how} INTO store.memory_versions ({', '.join(columns)}) "
        f"VALUES {statements.places(len(values) // len(columns), len(columns))}",
        values,
    )


def _plain(version: Version) -> dict[str, Any]:
    """As JSON and the table have it."""
    seq, sub, row_no = version.rank or (None, None, None)
    return {
        "version_id": version.version_id,
        "parents": list(version.parents),
        "kind": version.kind,
        "content_hash": version.content_hash,
        "record": None if version.record is None else record_json(version.record),
        "author": version.author,
        "agent_id": version.agent_id,
        "priority": version.priority,
        "written_at": version.written_at.astimezone(UTC).isoformat(),
        "seq": seq,
        "sub": sub,
        "row_no": row_no,
        "withdrawn": version.withdrawn,
        "cut": version.cut,
    }


def _version(memory_id: str, row: Mapping[str, Any]) -> Version:
    return Version(
        version_id=row["version_id"],
        parents=tuple(row["parents"]),
        kind=row["kind"],
        content_hash=row["content_hash"],
        record=None if row["record"] is None else from_json(memory_id, row["record"]),
        author=row["author"],
        agent_id=row["agent_id"],
        priority=row["priority"],
        written_at=row["written_at"],
        rank=None if row["seq"] is None else (row["seq"], row["sub"], row["row_no"]),
        withdrawn=row["withdrawn"],
        cut=row["cut"],
    )


def joined(known: Version, new: Version) -> Version:
    """One version that came twice: the earliest time, the highest place, said before derived."""
    # A decision that is made again after it was undone stands again, for both.
    is_withdrawn = known.withdrawn and new.withdrawn
    rank = max((one.rank for one in (known, new) if one.rank is not None), default=None)
    said = known if known.kind not in DERIVED else new
    said = new if new.kind == "home" and known.kind != "resolution" else said
    return replace(
        said,
        record=known.record if known.record is not None else new.record,
        written_at=min(known.written_at, new.written_at),
        priority=max(known.priority, new.priority),
        rank=rank,
        withdrawn=is_withdrawn,
        cut=known.cut if is_withdrawn else None,
    )
