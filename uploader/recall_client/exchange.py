"""How a call is sent and answered, step by step, without any I/O: both clients take the same steps.

build  →  breaker  →  send, and again after a wait where nothing answered  →  answer
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass

from recall_client.answers import Answer, Reply, answer, error
from recall_client.arguments import NotSent
from recall_client.breaker import Breaker
from recall_client.call import Call
from recall_client.retries import Retries


@dataclass(frozen=True, slots=True)
class Send:
    """Send it, and come back with a `Reply` or with `NoAnswer`."""

    call: Call
    headers: Mapping[str, bytes]
    timeout_s: float


@dataclass(frozen=True, slots=True)
class Wait:
    """Wait, and come back with None."""

    seconds: float


@dataclass(frozen=True, slots=True)
class NoAnswer:
    """Nothing came back, and whether the hub did anything is not known."""

    reason: str


Step = Send | Wait
Said = Reply | NoAnswer | None
Steps = Generator[Step, Said, Answer]


@dataclass(frozen=True, slots=True)
class Terms:
    """On what terms one client sends. A call ends within twice `timeout_s`, and as much longer as
    the hub may hold its answer back."""

    url: str
    timeout_s: float
    retries: Retries
    breaker: Breaker


def exchange(build: Callable[[], Call], terms: Terms, headers: Mapping[str, bytes]) -> Steps:
    """The steps of one call. Closed before its end (a task that was cancelled), it lets go of the
    breaker.

    The id of the request is made here, so that also a call without an answer can be found in the
    hub's log; it is the idempotency key of a write whose caller named none.
    """
    request_id = uuid.uuid4().hex
    try:
        call = build()
    except NotSent as not_sent:
        return error(not_sent.code, str(not_sent), request_id)
    admission = terms.breaker.admit()
    if admission is None:
        return error("circuit_open", _open(terms), request_id)
    send = _send(call, headers, request_id, terms)
    try:
        said = yield from _tries(send, terms)
    except BaseException:
        terms.breaker.left(admission)
        raise
    if isinstance(said, NoAnswer):
        terms.breaker.failed(admission)
        return error("hub_unreachable", _away(terms.url, said, call), request_id)
    terms.breaker.worked(admission)
    return answer(said, terms.url, request_id)


def _send(call: Call, headers: Mapping[str, bytes], request_id: str, terms: Terms) -> Send:
    own = {"x-request-id": request_id.encode()}
    if call.writes:
        own["idempotency-key"] = (call.key or request_id).encode()
    if call.body is not None:
        own["content-type"] = b"application/json"
    return Send(call, {**headers, **own}, terms.timeout_s + call.patience_s)


def _tries(send: Send, terms: Terms) -> Generator[Step, Said, Reply | NoAnswer]:
    """The same request, with the same key, until something answers, while the breaker is closed:
    a probe is tried once."""
    waits_s = terms.retries.waits_s(send.timeout_s)
    while True:
        said = _of_the_hub((yield send))
        if isinstance(said, Reply):
            return said
        wait_s = next(waits_s, None) if terms.breaker.state == "closed" else None
        if wait_s is None:
            return said
        yield Wait(wait_s)


def _of_the_hub(said: Said) -> Reply | NoAnswer:
    assert said is not None  # each `Send` is answered
    if isinstance(said, Reply) and said.is_of_a_proxy:
        return NoAnswer(f"a proxy in front of it says {said.status}")
    return said


def _open(terms: Terms) -> str:
    return (
        f"the hub at {terms.url} did not answer {terms.breaker.failures} times in a row; it is "
        f"asked again in {terms.breaker.wait_s:.0f} s, or after reset_circuit_breaker()"
    )


def _away(url: str, said: NoAnswer, call: Call) -> str:
    told = f"the hub at {url} does not answer ({said.reason})"
    if not call.writes:
        return told
    how = "the same idempotency_key" if call.key else "this request_id as idempotency_key"
    return f"{told}; whether it is done is not known: call again with {how}, and it is done once"
