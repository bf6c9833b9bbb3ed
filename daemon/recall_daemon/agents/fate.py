"""What became of a memory, and why: the answer to "why was this forgotten"."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from recall_daemon.agents.actor import Actor
from recall_daemon.agents.naming import Naming, not_found
from recall_daemon.agents.showing import Json
from recall_daemon.store import deletions, lives, memories
from recall_daemon.store.deletions import Deletion
from recall_daemon.store.moment import one_moment
from recall_daemon.store.store import Connection, Store

Identity = tuple[str, str]


class Fates:
    """Blocking; read-only. `keep`: how long what is deleted can be brought back."""

    def __init__(self, store: Store, naming: Naming, *, keep: timedelta) -> None:
        self._store = store
        self._naming = naming
        self._keep = keep

    def fate(self, actor: Actor, name: str) -> Json:
        """`{system_id, memory_id, state, why, deletion_id, until, events}`.

        state: live; deleted (it can be brought back until `until`); purged; removed (by its own
        system); forgotten. `events`: its deletions, newest first. Raises `MemoryNotFound`, also for
        what the actor could not see while it was there.
        """
        with one_moment(self._store) as connection:
            there = self._naming.find_all(connection, actor, [name])
            if name in there:
                found = (there[name].system_id, there[name].memory_id)
                return _told(found, "live", deletions.of_memory(connection, *found), self._keep)
            for one, state in self._candidates(connection, actor, name):
                acts = deletions.of_memory(connection, *one)
                if self._may_know(connection, actor, one, acts):
                    return _told(one, _state(connection, one, state, acts), acts, self._keep)
        raise not_found()

    def _candidates(
        self, connection: Connection, actor: Actor, name: str
    ) -> list[tuple[Identity, str]]:
        """What is not live and may be meant, the full name and the own system's first."""
        system_id, _, memory_id = name.partition("/")
        own = self._naming.own_system(actor)
        found = memories.states_of_ids(connection, [one for one in (name, memory_id) if one])
        meant = [
            (one, state)
            for one, state in found.items()
            if state != "live" and (one == (system_id, memory_id) or one[1] == name)
        ]
        return sorted(meant, key=lambda each: (each[0][1] == name, each[0][0] != own, each[0]))

    def _may_know(
        self, connection: Connection, actor: Actor, name: Identity, acts: Sequence[Deletion]
    ) -> bool:
        """By what its last deletion says of it; what nobody can say whose it was is for those alone
        who see all of its system."""
        stubs = [s.memory(act.deleted_at) for act in acts[:1] for s in act.stubs]
        own = [stub for stub in stubs if (stub.system_id, stub.memory_id) == name]
        if own:
            return bool(self._naming.sight.seen(connection, actor, own))
        reach = actor.caller.reach
        speaks = actor.agent_id is not None or actor.user_id is not None
        return not speaks and reach.holds_whole_systems and reach.holds_system(name[0])


def _state(connection: Connection, name: Identity, state: str, acts: Sequence[Deletion]) -> str:
    if state == "forgotten":
        return state
    life = lives.find(connection, *name)
    if life.deletion_id is None:
        return "removed"
    act = next((one for one in acts if one.deletion_id == life.deletion_id), None)
    return "purged" if act is not None and act.purged_at is not None else "deleted"


def _told(name: Identity, state: str, acts: Sequence[Deletion], keep: timedelta) -> Json:
    last = acts[0] if acts else None
    is_deleted = last is not None and state in ("deleted", "purged")
    return {
        "system_id": name[0],
        "memory_id": name[1],
        "state": state,
        "why": _why(state, last),
        "deletion_id": last.deletion_id if last is not None and is_deleted else None,
        "until": _iso(last.deleted_at + keep) if last is not None and state == "deleted" else None,
        "events": [event for act in acts for event in _events(act)],
    }


def _why(state: str, last: Deletion | None) -> str:
    if state == "live":
        return "it is there"
    if state == "forgotten":
        return "somebody asked the hub to forget it for good"
    if state == "removed" or last is None:
        return "its own system deleted it"
    retired = last.reason == "retention"
    by = "the hub let it go: its time was over" if retired else f"{last.actor} deleted it"
    return by if last.detail is None else f"{by} ({last.detail})"


def _events(act: Deletion) -> list[dict[str, Any]]:
    said = [("purged", act.purged_at), ("restored", act.undone_at), ("deleted", act.deleted_at)]
    return [
        {
            "what": what,
            "at": _iso(at),
            "deletion_id": act.deletion_id,
            **({"by": act.actor, "reason": act.reason} if what == "deleted" else {}),
        }
        for what, at in said
        if at is not None
    ]


def _iso(moment: datetime) -> str:
    return moment.isoformat()
