"""Who may see, or change, what others wrote: grants of one memory, and rules for many."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import asdict, dataclass, fields, replace
from datetime import datetime
from typing import Any, Final, Literal

from recall_daemon.store import side_tables, statements
from recall_daemon.store.store import Connection, next_numbers

Permission = Literal["read", "write"]
Identity = tuple[str, str]

AGENT: Final = "agent"
# A target of a rule: every agent.
EVERYONE: Final = "*"
_SHARES, _RULES = "memory_shares", "share_rules"
_AT_ONCE = 500


@dataclass(frozen=True)
class Share:
    """One memory for one agent (`grantee`), until it expires or is revoked."""

    share_id: int
    system_id: str
    memory_id: str
    grantee_kind: str
    grantee: str
    permission: Permission
    granted_by: str
    granted_at: datetime
    expires_at: datetime | None = None
    revoked_at: datetime | None = None

    @property
    def identity(self) -> Identity:
        return self.system_id, self.memory_id


@dataclass(frozen=True)
class ShareRule:
    """What `source_agent` (None: anybody) writes with the category and the tag, as far as they are
    named, the `targets` see."""

    rule_id: int
    source_agent: str | None
    category: str | None
    tag: str | None
    targets: tuple[str, ...]
    made_by: str
    made_at: datetime
    revoked_at: datetime | None = None

    def is_for(self, agent_id: str) -> bool:
        return agent_id in self.targets or EVERYONE in self.targets


_SHARE = ", ".join(field.name for field in fields(Share))
_RULE = ", ".join(field.name for field in fields(ShareRule))
_LIVE = "revoked_at IS NULL AND (expires_at IS NULL OR expires_at > ?)"


def version(connection: Connection) -> int:
    """Another number after each change of what is granted."""
    rows = statements.run(connection, "SELECT value FROM store.counters WHERE name = 'grants'")
    return int(rows.fetchall()[0][0])


def take_ids(connection: Connection, count: int) -> int:
    """The first of so many new numbers, for shares and rules. None is given twice, also after a
    restore, which brings rows back and no counters."""
    connection.execute(
        "UPDATE store.counters SET value = greatest(value, "
        "(SELECT coalesce(max(share_id), 0) FROM store.memory_shares), "
        "(SELECT coalesce(max(rule_id), 0) FROM store.share_rules)) WHERE name = 'share'"
    )
    return next_numbers(connection, "share", count)


def put(connection: Connection, shares: Sequence[Share], now: datetime) -> None:
    """Write shares, replacing those of the same numbers."""
    if shares:
        side_tables.put(connection, _SHARES, [asdict(share) for share in shares], now)
        next_numbers(connection, "grants", 1)


def put_rule(connection: Connection, rule: ShareRule, now: datetime) -> None:
    """Write a rule, replacing the one of the same number."""
    row = {**asdict(rule), "targets": list(rule.targets)}
    side_tables.put(connection, _RULES, [row], now)
    next_numbers(connection, "grants", 1)


def revoke(connection: Connection, shares: Sequence[Share], now: datetime) -> None:
    """Idempotent: the first time counts."""
    put(connection, [replace(s, revoked_at=now) for s in shares if s.revoked_at is None], now)


def find(connection: Connection, share_id: int) -> Share | None:
    """Live or not."""
    found = _shares(connection, "share_id = ?", [share_id])
    return found[0] if found else None


def find_rule(connection: Connection, rule_id: int) -> ShareRule | None:
    """Live or not."""
    found = _rules(connection, "rule_id = ?", [rule_id])
    return found[0] if found else None


def of_memory(connection: Connection, identity: Identity, now: datetime) -> list[Share]:
    """The live shares of a memory, oldest first."""
    where = f"system_id = ? AND memory_id = ? AND grantee_kind = '{AGENT}' AND {_LIVE}"
    return _shares(connection, where, [*identity, now])


def newest(
    connection: Connection,
    now: datetime,
    *,
    grantee: str | None,
    systems: Collection[str] | None,
    before: int | None,
    limit: int,
) -> list[Share]:
    """Live shares, newest first: for one agent, in some systems; None: for all, in all."""
    where = (
        f"grantee_kind = '{AGENT}' AND {_LIVE} AND (?::VARCHAR IS NULL OR grantee = ?) "
        "AND (?::VARCHAR[] IS NULL OR list_contains(?::VARCHAR[], system_id)) "
        "AND share_id < coalesce(?, 9223372036854775807)"
    )
    named = None if systems is None else sorted(systems)
    values = [now, grantee, grantee, named, named, before, limit]
    return _shares(connection, where, values, order="share_id DESC LIMIT ?")


def for_agent(
    connection: Connection, agent_id: str, identities: Iterable[Identity], now: datetime
) -> dict[Identity, Share]:
    """The live shares that the agent has of these memories; one to write before one to read."""
    wanted, found = list(dict.fromkeys(identities)), dict[Identity, Share]()
    named = "(system_id, memory_id) IN"
    where = f"grantee_kind = '{AGENT}' AND grantee = ? AND {_LIVE} AND "
    for start in range(0, len(wanted), _AT_ONCE):
        part = wanted[start : start + _AT_ONCE]
        names = [value for identity in part for value in identity]
        places = statements.places(len(part), 2)
        for share in _shares(
            connection, f"{where}{named} (VALUES {places})", [agent_id, now, *names]
        ):
            if share.permission == "write" or share.identity not in found:
                found[share.identity] = share
    return found


@dataclass(frozen=True)
class SharedRows:
    """The rows that an agent has live shares of. `until`: when the next of them expires.
    `is_whole` False: of some the memory is not here (yet)."""

    row_ids: tuple[int, ...]
    until: datetime | None
    is_whole: bool


def rows_for(connection: Connection, agent_id: str, now: datetime) -> SharedRows:
    """See `SharedRows`."""
    rows = statements.run(
        connection,
        "SELECT m.row_id, s.expires_at FROM store.memory_shares s "
        "LEFT JOIN store.memories m ON m.system_id = s.system_id AND m.memory_id = s.memory_id "
        f"WHERE s.grantee_kind = '{AGENT}' AND s.grantee = ? AND s.revoked_at IS NULL "
        "AND (s.expires_at IS NULL OR s.expires_at > ?)",
        [agent_id, now],
    ).fetchall()
    here = tuple(int(row_id) for row_id, _ in rows if row_id is not None)
    ends = [expires_at for _, expires_at in rows if expires_at is not None]
    return SharedRows(here, min(ends, default=None), len(here) == len(rows))


def live_rules(connection: Connection) -> list[ShareRule]:
    """Oldest first."""
    return _rules(connection, "revoked_at IS NULL", [])


def _shares(
    connection: Connection, where: str, values: Sequence[Any], *, order: str = "share_id"
) -> list[Share]:
    rows = statements.run(
        connection, f"SELECT {_SHARE} FROM store.{_SHARES} WHERE {where} ORDER BY {order}", values
    ).fetchall()
    return [Share(*row) for row in rows]


def _rules(connection: Connection, where: str, values: Sequence[Any]) -> list[ShareRule]:
    rows = statements.run(
        connection, f"SELECT {_RULE} FROM store.{_RULES} WHERE {where} ORDER BY rule_id", values
    ).fetchall()
    read = [ShareRule(*row) for row in rows]
    return [replace(rule, targets=tuple(rule.targets)) for rule in read]
