"""Sessions of agents: a name that memories carry, and what was said when it began."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from recall_daemon.agents.actor import Actor, actor_for
from recall_daemon.agents.incoming import check_known
from recall_daemon.agents.naming import Naming
from recall_daemon.agents.showing import Json
from recall_daemon.errors import AgentInvalid
from recall_daemon.memory.incoming import read_metadata
from recall_daemon.store import answers, sessions
from recall_daemon.store.answers import Key
from recall_daemon.store.sessions import Session
from recall_daemon.store.store import Connection, Store


class Sessions:
    """Blocking; safe from many threads."""

    def __init__(self, store: Store, naming: Naming, *, now: Callable[[], datetime]) -> None:
        self._store = store
        self._naming = naming
        self._now = now

    def create(self, actor: Actor, body: Mapping[str, Any], *, key: Key | None = None) -> Json:
        """`{session_id}`: the one that is asked for, else a new name.

        One that is there already stays as it was; another's is refused. Raises `AgentInvalid`,
        `MemoryInvalid` (its metadata), `Forbidden`, `KeyReused`.
        """
        check_known(body, ("session_id", "metadata"))
        told, metadata = body.get("session_id"), read_metadata(body.get("metadata"))
        if told is not None and not isinstance(told, str):
            raise AgentInvalid("session_id is not text")
        actor_for(actor.caller, session_id=told)  # whether it can be one
        actor.caller.check_write(self._naming.own_system(actor))
        session_id = told or f"ses_{uuid.uuid4().hex}"

        def work(connection: Connection) -> Json:
            now = self._now()
            made = Session(session_id, actor.agent_id, actor.user_id, metadata, now)
            return answers.once(connection, key, now, lambda: _create(connection, made, now))

        return self._store.write(work)


def _create(connection: Connection, made: Session, now: datetime) -> Json:
    known = sessions.find(connection, made.session_id)
    if known is None:
        sessions.put(connection, made, now)
    elif (known.agent_id, known.user_id) != (made.agent_id, made.user_id):
        raise AgentInvalid("the session is another's", hint="leave session_id out to get a new one")
    return {"session_id": made.session_id}
