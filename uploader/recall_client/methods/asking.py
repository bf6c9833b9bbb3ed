"""What every method stands on: whom a client speaks for, and how a call becomes an answer."""

from __future__ import annotations

import threading
import uuid
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final, Generic, TypeVar

from recall_client.answers import Answer, error
from recall_client.arguments import ArgumentInvalid, ClientClosed
from recall_client.breaker import Breaker
from recall_client.call import Call
from recall_client.exchange import Steps, Terms, exchange
from recall_client.fences import Fences
from recall_client.identity import Identity, checked
from recall_client.retries import Retries
from recall_client.wire import address

R = TypeVar("R")

TIMEOUT_S: Final = 30.0

Then = Callable[[Answer], None]


class Asking(ABC, Generic[R]):
    """`_ask` makes a call and answers; nothing of what hub or network do is raised."""

    def __init__(
        self,
        hub_url: str,
        *,
        identity: Identity,
        timeout_s: float = TIMEOUT_S,
        retries: Retries | None = None,
        breaker: Breaker | None = None,
    ) -> None:
        self.hub_url = address(hub_url)
        self._breaker = breaker or Breaker()
        self._terms = Terms(self.hub_url, timeout_s, retries or Retries(), self._breaker)
        self._identity = identity
        self._identity_lock = threading.Lock()
        self._fences = Fences()
        self._closed = False

    @property
    def identity(self) -> Identity:
        """Whom its calls are made for from now on."""
        return self._identity

    def set_agent_id(self, agent_id: str | None) -> Answer:
        """The agent that the calls are made for; None: the token itself."""
        return self._become(agent_id=agent_id)

    def set_user_id(self, user_id: str | None) -> Answer:
        """The user that the agent works for."""
        return self._become(user_id=user_id)

    def set_session_id(self, session_id: str | None) -> Answer:
        """The session that new memories belong to."""
        return self._become(session_id=session_id)

    @abstractmethod
    def _ask(self, build: Callable[[], Call], then: Then | None = None) -> R:
        """Make a call; `then` is told of its success. Never raises for hub or network."""

    def _steps(self, build: Callable[[], Call]) -> Steps:
        def checked_build() -> Call:
            if self._closed:
                raise ClientClosed("this client was closed; make another")
            return build()

        return exchange(checked_build, self._terms, self._identity.headers)

    def _fence(self, memory_id: Any, fence: int | None) -> int | None:
        """The one that was passed, else that of the block's lock on the memory."""
        return self._fences.of(memory_id) if fence is None else fence

    def _become(self, **changes: str | None) -> Answer:
        try:
            known = {name: checked(name, value) for name, value in changes.items()}
        except ArgumentInvalid as invalid:
            return error(invalid.code, str(invalid), uuid.uuid4().hex)
        with self._identity_lock:
            self._identity = replace(self._identity, **known)
        return {"status": "success", **known}
