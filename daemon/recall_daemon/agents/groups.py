"""Groups that an agent puts memories into, numbered, each with its members in their order."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from recall_daemon.agents.actor import Actor
from recall_daemon.agents.incoming import BATCH_MAX, check_known
from recall_daemon.agents.memories import SharedMemories, check_limit, results
from recall_daemon.agents.naming import Naming, identity, not_found, rows_of
from recall_daemon.agents.showing import Json
from recall_daemon.errors import AgentInvalid, MemoryNotFound
from recall_daemon.store import answers, audit_log, relations
from recall_daemon.store.answers import Key
from recall_daemon.store.audit_log import Act
from recall_daemon.store.moment import one_moment
from recall_daemon.store.relations import Group, Member
from recall_daemon.store.store import Connection, Store
from recall_wire.formats.values import whole

LIMIT: Final = 50
NAME_MAX_CHARS: Final = 200
DESCRIPTION_MAX_CHARS: Final = 10_000
# Groups are read so many at a time, until enough may be seen.
_PAGE: Final = 500


class Groups:
    """Blocking; safe from many threads.

    A group is its agent's and its user's, as a memory is; who speaks for no agent has all in reach.
    Of the members everybody gets those they see.
    """

    def __init__(
        self,
        store: Store,
        naming: Naming,
        memories: SharedMemories,
        *,
        now: Callable[[], datetime],
    ) -> None:
        self._store = store
        self._naming = naming
        self._memories = memories
        self._now = now

    def create(self, actor: Actor, body: Mapping[str, Any], *, key: Key | None = None) -> Json:
        """`{group_id}`. Raises `AgentInvalid`, `Forbidden`, `MemoryNotFound`, `KeyReused`."""
        check_known(body, ("name", "description", "memory_ids"))
        name = _text(body, "name", NAME_MAX_CHARS)
        if not name:
            raise AgentInvalid("there is no name")
        description = _text(body, "description", DESCRIPTION_MAX_CHARS)
        names = read_ids(body.get("memory_ids") or [])
        system_id = self._naming.own_system(actor)
        actor.caller.check_write(system_id)

        def act(connection: Connection, now: datetime) -> Json:
            number = relations.next_id(connection, "context_groups")
            group = Group(number, system_id, name, description, actor.agent_id, actor.user_id, now)
            relations.put_group(connection, group, now)
            said = {"group_id": number}
            audit_log.append(connection, Act(actor.name, "group.created", system_id, said), now)
            self._add(connection, actor, group, names, now)
            return {"group_id": number}

        return self._once(key, act)

    def add(
        self, actor: Actor, group_id: int, names: Sequence[str], *, key: Key | None = None
    ) -> Json:
        """`{added}`: how many are new to the group; all of them, or none.

        Raises `MemoryNotFound` where a memory or the group is not there, or not yours.
        """
        read_ids(names)

        def act(connection: Connection, now: datetime) -> Json:
            group = self._find(connection, actor, group_id)
            actor.caller.check_write(group.system_id)
            return {"added": self._add(connection, actor, group, names, now)}

        return self._once(key, act)

    def memories(self, actor: Actor, group_id: int, *, limit: int = LIMIT) -> Json:
        """`{results, count}`: the first `limit` members that the actor sees, in their order.

        Raises `MemoryNotFound`, `AgentInvalid`.
        """
        check_limit(limit)
        with one_moment(self._store) as connection:
            group = self._find(connection, actor, group_id)
            names = [one.identity for one in relations.members(connection, group.group_id)]
            rows = rows_of(connection, names)
            there = [rows[name] for name in names if name in rows]
            found = self._naming.sight.seen(connection, actor, there)[:limit]
            shown = self._memories.shown(actor, connection, found)
        return results(shown())

    def list(
        self,
        actor: Actor,
        name: str | None = None,
        *,
        limit: int = LIMIT,
        before: int | None = None,
    ) -> Json:
        """`{groups: [{group_id, name, description, agent_id, created_at}], next_before}`.

        Newest first: those that the actor sees, or of these the ones that a memory is in.

        Raises `MemoryNotFound`, `AgentInvalid`.
        """
        check_limit(limit)
        found: list[Group] = []
        with one_moment(self._store) as connection:
            of = None if name is None else identity(self._naming.find(connection, actor, name))
            while len(found) <= limit:
                page = relations.groups(connection, of=of, before=before, limit=_PAGE)
                found += [one for one in page if _is_seen(actor, one)]
                if len(page) < _PAGE:
                    break
                before = page[-1].group_id
        return {
            "groups": [_shown(one) for one in found[:limit]],
            "next_before": found[limit - 1].group_id if len(found) > limit else None,
        }

    def _once(self, key: Key | None, act: Callable[[Connection, datetime], Json]) -> Json:
        def work(connection: Connection) -> Json:
            now = self._now()
            return answers.once(connection, key, now, lambda: act(connection, now))

        return self._store.write(work)

    def _find(self, connection: Connection, actor: Actor, group_id: int) -> Group:
        group = relations.find_group(connection, group_id)
        if group is None or not _is_seen(actor, group):
            raise MemoryNotFound("there is no such group, or none that you may see")
        return group

    def _add(
        self,
        connection: Connection,
        actor: Actor,
        group: Group,
        names: Sequence[str],
        now: datetime,
    ) -> int:
        found = self._naming.find_all(connection, actor, names)
        if len(found) < len(set(names)):
            raise not_found()
        there = relations.members(connection, group.group_id)
        known = {one.identity for one in there}
        wanted = dict.fromkeys(identity(found[name]) for name in names)
        new = [name for name in wanted if name not in known]
        first = max((one.position for one in there), default=0) + 1
        made = [Member(group.group_id, *name, first + n, now) for n, name in enumerate(new)]
        if made:
            relations.put_members(connection, made, now)
        return len(made)


def read_ids(value: object) -> list[str]:
    """Raises `AgentInvalid`."""
    if not isinstance(value, Sequence) or isinstance(value, str) or len(value) > BATCH_MAX:
        raise AgentInvalid(f"memory_ids is not a list of at most {BATCH_MAX}")
    if not all(isinstance(one, str) for one in value):
        raise AgentInvalid("memory_ids holds something that is no id of a memory")
    return list(value)


def _shown(group: Group) -> Json:
    return {
        "group_id": group.group_id,
        "name": group.name,
        "description": group.description,
        "agent_id": group.agent_id,
        "created_at": group.created_at.isoformat(),
    }


def _is_seen(actor: Actor, group: Group) -> bool:
    if not actor.caller.reach.holds_system(group.system_id):
        return False
    speaks = actor.agent_id is not None or actor.user_id is not None
    if speaks and group.user_id not in (None, actor.user_id):
        return False
    return actor.agent_id is None or group.agent_id in (None, actor.agent_id)


def _text(body: Mapping[str, Any], name: str, max_chars: int) -> str | None:
    value = body.get(name)
    if value is not None and (not isinstance(value, str) or len(value) > max_chars):
        raise AgentInvalid(f"{name} is not text of at most {max_chars} characters")
    return None if value is None else whole(value)
