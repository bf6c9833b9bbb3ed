"""`MemoryClient`: a hub's memories, from any number of threads."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Self

import httpx

from recall_client.answers import Answer
from recall_client.breaker import Breaker
from recall_client.call import Call
from recall_client.exchange import Said, Send, Step
from recall_client.fences import Held
from recall_client.identity import of
from recall_client.methods import Methods
from recall_client.methods.asking import TIMEOUT_S, Then
from recall_client.methods.locks import LEASE_S, WAIT_S
from recall_client.retries import Retries
from recall_client.wire import Failures, no_answer, options, reply, request


class MemoryClient(Methods[Answer]):
    """Each call answers `{"status": "success", …}` or `{"status": "error", "message", "code",
    "request_id"}`; what the hub or the network does is never raised.

    Connects at its first call, and again by itself. Safe among threads; a process that forks makes
    one of its own afterwards. Raises `ValueError` where `hub_url`, `token` or an id can be none.
    """

    def __init__(
        self,
        hub_url: str,
        token: str | None = None,
        *,
        agent_id: str | None = None,
        user_id: str | None = None,
        session_id: str | None = None,
        timeout_s: float = TIMEOUT_S,
        retries: Retries | None = None,
        breaker: Breaker | None = None,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        identity = of(agent_id, user_id, session_id)
        super().__init__(
            hub_url, identity=identity, timeout_s=timeout_s, retries=retries, breaker=breaker
        )
        self._http = httpx.Client(transport=transport, **options(self.hub_url, token))

    @contextmanager
    def lock(
        self, memory_id: str, lease_s: float = LEASE_S, wait_s: float = WAIT_S
    ) -> Iterator[Held]:
        """Hold a memory's lock for a block; changes of it in the block carry the fence.

        Raises `LockRefused` where it is not given: the block must not run without it. A block that
        outlasts the lease renews it (`renew_lock`); where it did not, its changes are refused.
        """
        held = Held.of(self.acquire_lock(memory_id, lease_s, wait_s))
        with self._fences.carried(memory_id, held):
            try:
                yield held
            finally:
                self.release_lock(memory_id, held.fence)

    def close(self) -> None:
        """Closes its connections. Later calls answer `client_closed`."""
        self._closed = True
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _ask(self, build: Callable[[], Call], then: Then | None = None) -> Answer:
        steps = self._steps(build)
        said: Said = None
        try:
            while True:
                said = self._take(steps.send(said))
        except StopIteration as end:
            answer: Answer = end.value
        finally:
            steps.close()
        if then is not None and answer["status"] == "success":
            then(answer)
        return answer

    def _take(self, step: Step) -> Said:
        if isinstance(step, Send):
            return self._send(step)
        time.sleep(step.seconds)
        return None

    def _send(self, send: Send) -> Said:
        try:
            return reply(self._http.request(**request(send)))
        except Failures as error:
            return no_answer(error)
