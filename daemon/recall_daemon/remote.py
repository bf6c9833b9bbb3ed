"""Asks the daemon that runs, through its port, what `Operations` and `Search` answer in-process."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from urllib.parse import quote, urlencode, urlsplit

import httpx

from recall_daemon.agents.actor import AGENT_HEADER, SESSION_HEADER, USER_HEADER, Actor
from recall_daemon.agents.locks import WAIT_MAX_S
from recall_daemon.agents.remote import RemoteAgents
from recall_daemon.agents.remote_acting import RemoteActing
from recall_daemon.errors import HubUnreachable
from recall_daemon.index.filters import Filters
from recall_daemon.lock import running_at
from recall_daemon.operations import Json
from recall_daemon.search.query import SearchRequest
from recall_daemon.serve.local_token import read_local_token
from recall_daemon.store.ledger import Place, State
from recall_wire.errors import TerminalError, TransientError

TIMEOUT_S = 120
# A lock may be waited for.
ACTING_TIMEOUT_S = TIMEOUT_S + WAIT_MAX_S
# A stream of events gives a sign of life every 15 seconds.
SILENCE_S = 60.0
CONNECT_S = 5.0
# A daemon that stops has closed its port before it lets go of its folder.
LOOK_EVERY_S = 0.1
LOOKS = 120
_NOT_NOW = (429, 503)


class HubRefused(TerminalError):
    """The hub's own error, passed on."""


class HubBusy(TransientError):
    """The hub's own error, passed on: the same may succeed later."""


def find_hub(folder: Path) -> RemoteHub | None:
    """The daemon that works on a data folder; None where no process does.

    One that is stopping is waited for. Raises `StoreBusy` for a process that answers nowhere, and
    `HubUnreachable`.
    """
    for _ in range(LOOKS):
        url = running_at(folder)
        if url is None:
            return None
        if _listens(url):
            return RemoteHub(url, token=read_local_token(folder))
        time.sleep(LOOK_EVERY_S)
    raise HubUnreachable(f"the hub at {url} does not answer", hint="it may hang: see its log")


def _listens(url: str) -> bool:
    address = urlsplit(url)
    try:
        socket.create_connection((address.hostname, address.port), CONNECT_S).close()
    except ConnectionRefusedError:
        return False
    except OSError as error:
        raise HubUnreachable(f"the hub at {url} does not answer: {error}") from error
    return True


class RemoteHub:
    """A `HubApi` over HTTP. Raises `HubUnreachable`, `HubBusy` and `HubRefused`."""

    def __init__(self, url: str, *, token: str | None = None) -> None:
        self._url = url
        # The daemon is on this machine, and holds the folder that says where it listens. So a proxy
        # from the environment has no business here, and its certificate names other hosts.
        self._http = httpx.Client(
            base_url=url,
            timeout=TIMEOUT_S,
            trust_env=False,
            verify=False,
            headers={"authorization": f"Bearer {token}"} if token else {},
        )

    def close(self) -> None:
        """Let go of the connection. Idempotent."""
        self._http.close()

    @property
    def url(self) -> str:
        return self._url

    @property
    def agents(self) -> RemoteAgents:
        """The agents' side of the same daemon."""
        return RemoteAgents(self._call)

    def acting(self, actor: Actor) -> RemoteActing:
        """The same side for whoever speaks for an agent, a user, in a session."""
        names = {
            AGENT_HEADER: actor.agent_id,
            USER_HEADER: actor.user_id,
            SESSION_HEADER: actor.session_id,
        }
        headers = [(k.encode(), value.encode()) for k, value in names.items() if value is not None]

        def call(method: str, path: str, body: Json | None = None) -> Json:
            return self._call(method, path, body, headers=headers, timeout_s=ACTING_TIMEOUT_S)

        return RemoteActing(call)

    def search(self, request: SearchRequest) -> Json:
        body = {name: _plain(value) for name, value in asdict(request).items()}
        return self._call("POST", "/v1/search", {k: v for k, v in body.items() if v is not None})

    def status(self) -> Json:
        return self._call("GET", "/v1/status")

    def systems(self) -> Json:
        return self._call("GET", "/v1/systems")

    def ready(self) -> Json:
        """`{ready, degraded, parts}`, also where it is not ready."""
        return self._call("GET", "/readyz", refused=False)

    def memory(self, system_id: str, memory_id: str) -> Json:
        return self._call("GET", f"/v1/memories/{_name(system_id, memory_id)}")

    def recent(self, filters: Filters, limit: int, cursor: str | None = None) -> Json:
        asked = [*_filtered(filters), ("limit", limit)]
        asked += [] if cursor is None else [("cursor", cursor)]
        return self._call("GET", f"/v1/memories?{urlencode(asked)}")

    def related(self, system_id: str, memory_id: str, filters: Filters, limit: int) -> Json:
        asked = urlencode([*_filtered(filters), ("limit", limit)])
        return self._call("GET", f"/v1/related/{_name(system_id, memory_id)}?{asked}")

    def add(self, body: Json) -> Json:
        return self._call("POST", "/v1/memories", body)

    def verify(self, sample: int = 0) -> Json:
        """Waits as long as it takes."""
        return self._call("GET", f"/v1/verify?sample={sample}", timeout_s=None)

    def tiers(self) -> Json:
        return self._call("GET", "/v1/tiers")

    def tiers_due(self) -> Json:
        return self._call("GET", "/v1/tiers/due")

    def snapshots(
        self,
        system: str | None = None,
        state: State | None = None,
        limit: int = 100,
        offset: int = 0,
    ) -> Json:
        asked = {"system": system, "state": state, "limit": limit, "offset": offset}
        given = {name: value for name, value in asked.items() if value is not None}
        return self._call("GET", f"/v1/snapshots?{urlencode(given)}")

    def quarantine_list(self) -> Json:
        return self._call("GET", "/v1/quarantine")

    def quarantine_show(self, place: Place) -> Json:
        return self._call("GET", _path(place))

    def quarantine_retry(self, place: Place) -> Json:
        return self._call("POST", _path(place, "retry"))

    def quarantine_drop(self, place: Place) -> Json:
        return self._call("POST", _path(place, "drop"))

    def model(self) -> Json:
        return self._call("GET", "/v1/model")

    def jobs(self) -> Json:
        return self._call("GET", "/v1/jobs")

    def events(self, limit: int, kinds: Sequence[str] = (), systems: Sequence[str] = ()) -> Json:
        asked = [("limit", limit), *_named(kinds, systems)]
        return self._call("GET", f"/v1/events/recent?{urlencode(asked)}")

    def follow_events(
        self, after: int | None, kinds: Sequence[str] = (), systems: Sequence[str] = ()
    ) -> Iterator[Json]:
        """What happens from now on, or after an event; ends when the hub does.

        `{kind: "events.lost", …}` stands for what is no longer kept.
        """
        asked = [*_named(kinds, systems), *([("after", after)] if after is not None else [])]
        path = f"/v1/events?{urlencode(asked)}"
        try:
            with self._http.stream("GET", path, timeout=SILENCE_S) as response:
                if response.is_error:
                    response.read()
                    raise _refused(response.json())
                yield from _events(response.iter_lines())
        except (httpx.HTTPError, ValueError) as error:
            raise HubUnreachable(f"the hub at {self._url} has gone: {error}") from error

    def backups(self) -> Json:
        return self._call("GET", "/v1/backups")

    def expiry(self) -> Json:
        return self._call("GET", "/v1/expiry")

    def forget(self, body: Json) -> Json:
        """The receipt. Waits as long as it takes: with `rewrite`, minutes."""
        return self._call("POST", "/v1/forget", body, timeout_s=None)

    def tokens(self) -> Json:
        return self._call("GET", "/v1/tokens")

    def token_create(self, body: Json) -> Json:
        return self._call("POST", "/v1/tokens", body)

    def token_revoke(self, token_id: str) -> Json:
        return self._call("POST", f"/v1/tokens/{quote(token_id, safe='')}/revoke")

    def audit(self, limit: int = 100, before: int | None = None, action: str | None = None) -> Json:
        asked = {"limit": limit, "before": before, "action": action}
        query = urlencode({name: value for name, value in asked.items() if value is not None})
        return self._call("GET", f"/v1/audit?{query}")

    def audit_verify(self) -> Json:
        return self._call("GET", "/v1/audit/verify", timeout_s=None)

    def pull(self, body: Json) -> Json:
        """What came of it. Waits as long as the instances take."""
        return self._call("POST", "/v1/pull", body, timeout_s=None)

    def start_job(self, kind: str) -> Json:
        """Begin a job; `jobs` says how far it is."""
        return self._call("POST", f"/v1/jobs/{quote(kind, safe='')}/run")

    def _call(
        self,
        method: str,
        path: str,
        body: Json | None = None,
        *,
        headers: Sequence[tuple[bytes, bytes]] = (),
        timeout_s: float | None = TIMEOUT_S,
        refused: bool = True,
    ) -> Json:
        try:
            response = self._http.request(
                method, path, json=body, headers=headers, timeout=timeout_s
            )
            answer = response.json()
        except (httpx.HTTPError, ValueError) as error:
            raise HubUnreachable(f"the hub at {self._url} does not answer: {error}") from error
        if response.is_error and refused:
            raise _refused(answer)
        return dict(answer)


def _refused(answer: Json) -> HubRefused | HubBusy:
    is_transient = answer.get("transient") or answer.get("status") in _NOT_NOW
    kind = HubBusy if is_transient else HubRefused
    return kind(str(answer.get("detail", answer)), hint=str(answer.get("hint", "")))


def _named(kinds: Sequence[str], systems: Sequence[str]) -> list[tuple[str, object]]:
    return [*(("kind", kind) for kind in kinds), *(("system", system) for system in systems)]


def _events(lines: Iterator[str]) -> Iterator[Json]:
    """The events of a stream, each of whose data is one line."""
    kind = ""
    for line in lines:
        name, _, value = line.partition(": ")
        if name == "event":
            kind = value
        elif name == "data":
            yield {"kind": kind, **json.loads(value)}


def _path(place: Place, action: str = "") -> str:
    path = f"/v1/quarantine/{quote(place.system_id, safe='')}/{place.seq}"
    return f"{path}{'/' if action else ''}{action}?sub={place.sub}"


def _name(system_id: str, memory_id: str) -> str:
    return f"{quote(system_id, safe='')}/{quote(memory_id, safe='')}"


def _filtered(filters: Filters) -> list[tuple[str, object]]:
    """As the query of a route says them: by the names that a search has."""
    said = [(_ASKED.get(k, k), v) for k, values in filters.allowed() for v in values]
    times = [("since", filters.since), ("until", filters.until)]
    return [*said, *((name, at.isoformat()) for name, at in times if at is not None)]


_ASKED = {"tag": "tags"}


def _plain(value: object) -> object:
    if isinstance(value, datetime):
        return value.isoformat()
    return list(value) if isinstance(value, tuple) else value
