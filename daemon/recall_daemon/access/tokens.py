"""Tokens: made, listed, revoked and recognised. Shown once, kept as a hash."""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
import threading
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from recall_daemon.access.caller import Caller, SightOf, own_alone
from recall_daemon.agents.actor import NAME_MAX_CHARS as SPOKEN_MAX_CHARS
from recall_daemon.agents.actor import is_name
from recall_daemon.errors import TokenInvalid, TokenUnknown
from recall_daemon.search.reach import Reach
from recall_daemon.store import audit_log, journal, tokens
from recall_daemon.store.audit_log import Act
from recall_daemon.store.store import Connection, Store
from recall_daemon.store.tokens import Role, TokenRow
from recall_wire.errors import UnsafeKey
from recall_wire.layout import check_system_id

PREFIX = "rct"
_TOKEN = re.compile(r"rct_([0-9a-f]{12})_([A-Za-z0-9_-]{43})")
NAME_MAX_CHARS = 100
LIFE_MAX = timedelta(days=3650)
# What a wrong id is compared with, so that it takes as long as a wrong secret.
_NOBODY = hashlib.sha256(b"nobody").hexdigest()


@dataclass(frozen=True)
class Asked:
    """A token to be made. `systems`, `projects`: what it may read, None for all; an instance reads
    its own system where nothing else is said. `life`: None for one that does not expire.
    `agent_id`, `user_id`: it speaks for those alone; None: for whomever its holder says.
    """

    role: Role
    name: str = ""
    system_id: str | None = None
    systems: tuple[str, ...] | None = None
    projects: tuple[str, ...] | None = None
    life: timedelta | None = None
    agent_id: str | None = None
    user_id: str | None = None


class Tokens:
    """Blocking but for `caller`, which looks only into memory. Safe from many threads.

    One process holds the store, so what it remembers is what there is. `sight`: what somebody may
    see who speaks for an agent or a user.
    """

    def __init__(
        self, store: Store, *, now: Callable[[], datetime], sight: SightOf = own_alone
    ) -> None:
        self._store = store
        self._now = now
        self.sight = sight
        self._lock = threading.Lock()
        self._known: dict[str, TokenRow] = {}
        self.reload()

    def reload(self) -> None:
        """Read them from the store anew."""
        with self._lock, self._store.read() as connection:
            self._known = {row.token_id: row for row in tokens.every(connection)}

    @property
    def any(self) -> bool:
        """Whether there is one that is good now."""
        now = self._now()
        return any(_is_good(row, now) for row in self._known.values())

    @property
    def in_force(self) -> bool:
        """Whether every request needs one. A token that merely expires opens nothing: only when
        all are revoked is the hub as it was before the first."""
        return any(row.revoked_at is None for row in self._known.values())

    def caller(self, token: str) -> Caller | None:
        """Whose token it is; None for one that is wrong, expired or revoked."""
        match = _TOKEN.fullmatch(token)
        row = self._known.get(match[1]) if match else None
        given = hashlib.sha256((match[2] if match else token).encode("utf-8", "replace"))
        same = hmac.compare_digest(given.hexdigest(), row.secret_sha256 if row else _NOBODY)
        if row is None or not same or not _is_good(row, self._now()):
            return None
        return _caller(row).speaking_for(row.agent_id, row.user_id, self.sight)

    def create(self, asked: Asked, *, actor: str) -> tuple[TokenRow, str]:
        """The token's line, and the token itself, which is shown this once.

        Raises `TokenInvalid`.
        """
        _check(asked)
        now = self._now()
        secret = secrets.token_urlsafe(32)
        row = TokenRow(
            token_id=secrets.token_hex(6),
            name=asked.name or asked.system_id or asked.role,
            role=asked.role,
            system_id=asked.system_id,
            systems=_readable(asked),
            projects=asked.projects,
            secret_sha256=hashlib.sha256(secret.encode()).hexdigest(),
            created_at=now,
            expires_at=None if asked.life is None else now + asked.life,
            agent_id=asked.agent_id,
            user_id=asked.user_id,
        )
        self._store.write(lambda connection: _create(connection, row, actor, now))
        with self._lock:
            self._known = {**self._known, row.token_id: row}  # others look at it meanwhile
        return row, f"{PREFIX}_{row.token_id}_{secret}"

    def listed(self) -> list[dict[str, Any]]:
        """Every token there ever was, without its secret, oldest first."""
        now = self._now()
        return [token_json(row, now) for row in self._known.values()]

    def revoke(self, token_id: str, *, actor: str) -> dict[str, Any]:
        """From now on it opens nothing. Idempotent. Raises `TokenUnknown`."""
        if token_id not in self._known:
            raise TokenUnknown(
                f"no token has the id {token_id[:40]!r}", hint="see `recalld token list`"
            )
        now = self._now()
        self._store.write(lambda connection: _revoke(connection, token_id, actor, now))
        with self._lock:
            row = self._known[token_id]
            row = replace(row, revoked_at=row.revoked_at or now)
            self._known[token_id] = row
        return token_json(row, now)


def replay(connection: Connection, body: dict[str, Any], now: datetime) -> None:
    """Do again what a journal entry says. Idempotent."""
    if "revoked" in body:
        tokens.revoke(connection, str(body["revoked"]), now)
        return
    known = {row.token_id: row for row in tokens.every(connection)}
    row = _row(body)
    if row.token_id not in known:
        tokens.put(connection, row)


KIND = "token"


def _create(connection: Connection, row: TokenRow, actor: str, now: datetime) -> None:
    tokens.put(connection, row)
    journal.append(connection, KIND, _body(row), now)
    said = {"token_id": row.token_id, "role": row.role, "name": row.name}
    audit_log.append(connection, Act(actor, "token.created", row.system_id, said), now)


def _revoke(connection: Connection, token_id: str, actor: str, now: datetime) -> None:
    tokens.revoke(connection, token_id, now)
    journal.append(connection, KIND, {"revoked": token_id}, now)
    audit_log.append(connection, Act(actor, "token.revoked", None, {"token_id": token_id}), now)


def _body(row: TokenRow) -> dict[str, Any]:
    return {
        "token_id": row.token_id,
        "name": row.name,
        "role": row.role,
        "system_id": row.system_id,
        "systems": _list(row.systems),
        "projects": _list(row.projects),
        "secret_sha256": row.secret_sha256,
        "created_at": row.created_at.isoformat(),
        "expires_at": row.expires_at.isoformat() if row.expires_at else None,
        "agent_id": row.agent_id,
        "user_id": row.user_id,
    }


def _row(body: dict[str, Any]) -> TokenRow:
    expires_at = body["expires_at"]
    return TokenRow(
        token_id=body["token_id"],
        name=body["name"],
        role=body["role"],
        system_id=body["system_id"],
        systems=None if body["systems"] is None else tuple(body["systems"]),
        projects=None if body["projects"] is None else tuple(body["projects"]),
        secret_sha256=body["secret_sha256"],
        created_at=datetime.fromisoformat(body["created_at"]),
        expires_at=datetime.fromisoformat(expires_at) if expires_at else None,
        # An entry of before there were any has neither.
        agent_id=body.get("agent_id"),
        user_id=body.get("user_id"),
    )


def token_json(row: TokenRow, now: datetime) -> dict[str, Any]:
    """A token's line, without its secret's hash."""
    state = "active" if _is_good(row, now) else "revoked" if row.revoked_at else "expired"
    told = {name: value for name, value in _body(row).items() if name != "secret_sha256"}
    revoked_at = row.revoked_at.isoformat() if row.revoked_at else None
    return {**told, "revoked_at": revoked_at, "state": state}


def _caller(row: TokenRow) -> Caller:
    return Caller(
        name=f"{row.role}:{row.token_id}",
        role=row.role,
        system_id=row.system_id,
        reach=Reach(_set(row.systems), _set(row.projects)),
    )


def _is_good(row: TokenRow, now: datetime) -> bool:
    return row.revoked_at is None and (row.expires_at is None or now < row.expires_at)


def _readable(asked: Asked) -> tuple[str, ...] | None:
    if asked.role == "instance" and asked.systems is None and asked.system_id is not None:
        return (asked.system_id,)
    return asked.systems


def _check(asked: Asked) -> None:
    if asked.role not in ("instance", "reader", "admin"):
        raise TokenInvalid(f"role {str(asked.role)[:40]!r} is none of instance, reader, admin")
    if (asked.role == "instance") != (asked.system_id is not None):
        raise TokenInvalid(
            "an instance's token names the one system it writes, no other token does",
            hint="--role instance --system laptop-7",
        )
    if asked.role == "admin" and (asked.systems is not None or asked.projects is not None):
        raise TokenInvalid("an admin sees everything", hint="use --role reader")
    if asked.role == "admin" and (asked.agent_id is not None or asked.user_id is not None):
        raise TokenInvalid("an admin speaks for no one agent or user", hint="use --role instance")
    if asked.life is not None and not timedelta(0) < asked.life <= LIFE_MAX:
        raise TokenInvalid(f"a token lives up to {LIFE_MAX.days} days, or for ever")
    for system_id in (*(asked.systems or ()), *([asked.system_id] if asked.system_id else [])):
        _check_system(system_id)
    for text in (asked.name, *(asked.projects or ())):
        if len(text) > NAME_MAX_CHARS or not text.isprintable():
            raise TokenInvalid(f"a name has up to {NAME_MAX_CHARS} printable characters")
    for name in (asked.agent_id, asked.user_id):
        if name is not None and not is_name(name):
            raise TokenInvalid(
                f"the name of an agent or a user has 1 to {SPOKEN_MAX_CHARS} printable characters "
                "and no white space at its ends"
            )
    if asked.systems == () or asked.projects == () or "" in (asked.projects or ()):
        raise TokenInvalid("a token that may read nothing is of no use")


def _check_system(system_id: str) -> None:
    try:
        check_system_id(system_id)
    except UnsafeKey as error:
        raise TokenInvalid(f"{system_id[:80]!r} is no system's id") from error


def _list(values: Collection[str] | None) -> list[str] | None:
    return None if values is None else list(values)


def _set(values: Collection[str] | None) -> frozenset[str] | None:
    return None if values is None else frozenset(values)
