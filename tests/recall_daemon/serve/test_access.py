"""Who may ask what, and what of the hub comes back: every route, as every role."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from recall_daemon.access.tokens import Asked, Tokens
from recall_daemon.serve import forget, push
from recall_daemon.serve.gate import Terms
from recall_daemon.serve.guard import App, Guard
from recall_daemon.store.store import Store
from recall_wire.records import Record

sys.path.insert(0, str(Path(__file__).parent))  # access_table
from access_table import (
    ELSEWHERE,
    INSIDERS,
    OTHER,
    OUTSIDERS,
    OWN,
    ROWS,
    UNKNOWN,
    Ask,
    Row,
)

Json = dict[str, Any]
START = datetime(2026, 1, 1, tzinfo=UTC)
SAME = "the tide tables were copied into both machines"
# What is of a system or a project alone, and must not be in any answer to who may not see it.
UNSEEN = {
    "instance": ("zebra", "zanzibar"),
    "reader": ("zebra", "zanzibar"),
    "project": ("-blue-", "periwinkle", "-gone-", "cobalt"),
    "admin": (),
}
ROWS_SEEN = {"instance": 12, "reader": 12, "project": 10, "admin": 24}


def _records(system: str, mark: str) -> list[Record]:
    """A session whose turns are of two projects by turns, a text that both systems have, and some
    to be forgotten."""
    turns = [
        Record(
            f"{system}-{project}-{number}",
            text=f"the tide of {word} number {number} {mark}",
            project=project,
            session_id="session",
            created_at=START + timedelta(minutes=2 * number + (project == "blue")),
        )
        for number in range(4)
        for project, word in (("red", "crimson"), ("blue", "periwinkle"))
    ]
    same = Record(f"{system}-red-same", text=SAME, project="red", created_at=START)
    gone = [
        Record(f"{system}-gone-{role}", text=f"cobalt {mark} {role}", project="blue")
        for role in ("instance", "admin", "forget")
    ]
    return [*turns, same, *gone]


@dataclass(frozen=True)
class Answer:
    status: int
    headers: dict[str, str]
    text: str

    @property
    def json(self) -> Any:
        return json.loads(self.text)

    def without(self, *names: str) -> str:
        """The body without the request's id, and each of the names as `*`."""
        text = re.sub(r'"request_id": "[^"]*"', "", self.text)
        for name in names:
            text = text.replace(name, "*")
        return text


@dataclass(frozen=True)
class Door:
    """A hub behind guard and gate, and a token of each role."""

    app: App
    tokens: dict[str, str]
    store: Store

    async def ask(self, method: str, ask: Ask, role: str, **headers: str) -> Answer:
        """One request; of a stream what comes first."""
        path, _, query = ask.path.partition("?")
        told = {"host": "127.0.0.1:8682", **dict(ask.headers), **headers}
        if ask.content:
            told |= {"content-type": ask.content_type, "content-length": str(len(ask.content))}
        if role in self.tokens:
            told.setdefault("authorization", f"Bearer {self.tokens[role]}")
        scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": method,
            "scheme": "http",
            "path": path,
            "raw_path": path.encode(),
            "query_string": query.encode(),
            "root_path": "",
            "headers": [(name.encode(), value.encode()) for name, value in told.items()],
            "client": ("127.0.0.1", 1),
            "server": ("127.0.0.1", 8682),
        }
        return await _run(self.app, scope, ask.content)


async def _run(app: App, scope: Json, content: bytes) -> Answer:
    sent: list[Any] = []
    enough = asyncio.Event()
    asked = False

    async def receive() -> Json:
        nonlocal asked
        if asked:
            await asyncio.Event().wait()
        asked = True
        return {"type": "http.request", "body": content, "more_body": False}

    async def send(message: Any) -> None:
        sent.append(message)
        bodies = sum(1 for each in sent if each["type"] == "http.response.body")
        if bodies and (not message.get("more_body") or bodies >= 2):
            enough.set()

    running = asyncio.create_task(app(scope, receive, send))  # type: ignore[arg-type]
    waiting = asyncio.create_task(enough.wait())
    await asyncio.wait({running, waiting}, return_when=asyncio.FIRST_COMPLETED)
    for task in (running, waiting):
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
    body = b"".join(each.get("body", b"") for each in sent[1:])
    headers = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
    return Answer(sent[0]["status"], headers, body.decode())


@pytest.fixture
async def door(open_test_hub: Any, publisher: Any) -> AsyncIterator[Door]:
    """Two systems of two projects, each with four snapshots in quarantine."""
    for system, mark in ((OWN, "harbour"), (OTHER, "zanzibar")):
        publisher.publish(system, 1, _records(system, mark))
        for seq in (2, 3, 4, 5):
            publisher.commit(system, seq, b"no manifest")
    async with open_test_hub() as hub:
        await hub.once()
        tokens = hub.hub.core.tokens
        given = {"wrong": "rct_000000000000_" + "A" * 43, **_tokens(tokens, hub.clock)}
        app = Guard(hub.app(Terms()), port=8682, allowances=(push.BATCHES, forget.BODY))
        yield Door(app, given, hub.hub.core.store)


def _tokens(tokens: Tokens, clock: list[datetime]) -> dict[str, str]:
    asked = {
        "expired": Asked("admin", life=timedelta(seconds=1)),
        "revoked": Asked("admin"),
        "instance": Asked("instance", system_id=OWN),
        "reader": Asked("reader", systems=(OWN,)),
        "project": Asked("reader", projects=("red",)),
        "admin": Asked("admin"),
    }
    made = {role: tokens.create(each, actor="test") for role, each in asked.items()}
    clock[0] += timedelta(seconds=2)
    tokens.revoke(made["revoked"][0].token_id, actor="test")
    return {role: token for role, (_, token) in made.items()}


async def test_every_route_is_in_the_table(open_test_hub: Any) -> None:
    async with open_test_hub() as hub:
        document = hub.app().openapi()
    routes = {f"{method.upper()} {p}" for p, ms in document["paths"].items() for method in ms}
    assert routes == {row.name for row in ROWS} | ELSEWHERE


async def test_every_route_answers_each_role_as_the_table_says(door: Door) -> None:
    """And nothing that comes back holds what the role may not see."""
    wrong = []
    for row in ROWS:
        for system in (OWN, OTHER, UNKNOWN) if row.names_system else (OWN,):
            for role in (*OUTSIDERS, *INSIDERS):
                answer = await door.ask(row.method, row.ask(system, role), role)
                if answer.status != row.expected(system, role):
                    wrong.append((row.name, system, role, answer.status, answer.text[:200]))
                wrong += [
                    (row.name, system, role, f"tells of {mark}", answer.text[:2_000])
                    for mark in UNSEEN.get(role, ("harbour", "zanzibar", "-red-"))
                    if mark in answer.text
                    and mark not in row.ask(system, role).path
                    and mark not in str(row.ask(system, role).body)
                ]
                wrong += _no_problem(row, role, answer)
    assert wrong == []


def _no_problem(row: Row, role: str, answer: Answer) -> list[Any]:
    """Refusals are problem details; 401 says how to get in."""
    if answer.status < 400:
        return []
    kind = answer.headers["content-type"] == "application/problem+json"
    challenge = answer.headers.get("www-authenticate", "").startswith("Bearer realm=")
    return [] if kind and challenge == (answer.status == 401) else [(row.name, role, answer)]


async def test_what_is_not_yours_is_as_what_is_not_there(door: Door) -> None:
    """The same status, the same words, and the same questions to the store."""
    wrong = []
    for row in ROWS:
        for role in ("instance", "reader") if row.names_system else ():
            answers = []
            for system in (OTHER, UNKNOWN):
                ask = row.ask(system, role)
                with asked_of(door.store) as statements:
                    answer = await door.ask(row.method, ask, role)
                answers.append((answer.status, answer.without(system), statements))
            if answers[0] != answers[1]:
                wrong.append((row.name, role, *answers))
    assert wrong == []


@contextmanager
def asked_of(store: Store) -> Iterator[list[str]]:
    """The statements of every reader of the store meanwhile."""
    statements: list[str] = []
    enter = store._enter

    class Recorded:
        def __init__(self, cursor: Any) -> None:
            self._cursor = cursor

        def execute(self, sql: str, *values: Any) -> Any:
            statements.append(sql)
            return self._cursor.execute(sql, *values)

        def __getattr__(self, name: str) -> Any:
            return getattr(self._cursor, name)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(store, "_enter", lambda **options: Recorded(enter(**options)))
        yield statements
    store._close_idle()


async def test_counts_and_lists_are_of_what_is_seen(door: Door) -> None:
    systems = {"instance": [OWN], "reader": [OWN], "project": [OWN, OTHER], "admin": [OWN, OTHER]}
    for role in INSIDERS:
        status = (await door.ask("GET", Ask("/v1/status"), role)).json
        assert status["rows"] == ROWS_SEEN[role], role
        assert status["backlog"] == 0
        assert [system["system_id"] for system in status["systems"]] == systems[role]
        listed = (await door.ask("GET", Ask("/v1/quarantine"), role)).json["quarantined"]
        assert {entry["system_id"] for entry in listed} == set(systems[role])
        # A reason quotes the data of all projects.
        in_status = [one for system in status["systems"] for one in system["quarantined"]]
        shown = (await door.ask("GET", Ask(f"/v1/quarantine/{OWN}/3"), role)).json
        reasons = [one["reason"] for one in (*listed, *in_status, shown)]
        assert [bool(one) for one in reasons] == [role != "project"] * len(reasons), role
        recent = (await door.ask("GET", Ask("/v1/memories?limit=100"), role)).json["memories"]
        assert len(recent) == ROWS_SEEN[role]


async def test_the_backlog_is_of_what_is_seen(door: Door, publisher: Any) -> None:
    """What waits for its vector elsewhere is not counted."""
    body = {"memories": [{"memory_id": f"w{n}", "text": f"waits {n}"} for n in range(5)]}
    await door.ask("POST", Ask("/v1/memories/batch", {"system": OTHER, **body}), "admin")
    told = {role: (await door.ask("GET", Ask("/v1/status"), role)).json for role in INSIDERS}
    assert {role: each["backlog"] for role, each in told.items()} == {
        **{"instance": 0, "reader": 0},
        **{"project": 0, "admin": 5},
    }


async def test_a_search_ranks_folds_explains_and_reads_around_within_reach(door: Door) -> None:
    for role in INSIDERS:
        body = {"query": SAME, "explain": True, "context": 10, "limit": 100}
        answer = await door.ask("POST", Ask("/v1/search", body), role)
        hits = answer.json["hits"]
        witnesses = {(each["system_id"], each["memory_id"]) for each in hits[0]["witnesses"]}
        both = {(OWN, f"{OWN}-red-same"), (OTHER, f"{OTHER}-red-same")}
        assert witnesses == (
            both if role in ("project", "admin") else both - {(OTHER, f"{OTHER}-red-same")}
        )
        assert hits[0]["witness_count"] == len(witnesses)
        assert not [mark for mark in UNSEEN[role] if mark in answer.text]
        quoted = {"query": 'tide "zanzibar"', "limit": 100}
        told = (await door.ask("POST", Ask("/v1/search", quoted), role)).json
        held = role in ("project", "admin")
        assert told["quotes_not_held"] == ([] if held else ["zanzibar"])


async def test_a_filter_cannot_reach_further(door: Door) -> None:
    for role, filters in (("reader", {"system": OTHER}), ("project", {"project": "blue"})):
        body = {"query": "tide", **filters}
        assert (await door.ask("POST", Ask("/v1/search", body), role)).json["hits"] == []


async def test_a_page_of_another_listing_is_ones_own(door: Door) -> None:
    """The same search, page by page, by one who sees more in between."""
    first = {"query": "tide", "limit": 5, "fold": False}
    await door.ask("POST", Ask("/v1/search", first), "admin")
    answer = await door.ask("POST", Ask("/v1/search", {**first, "offset": 5}), "reader")
    assert {hit["system_id"] for hit in answer.json["hits"]} == {OWN}


async def test_an_instance_forgets_in_its_own_system_alone(door: Door) -> None:
    async def forgotten(role: str, **body: Any) -> Answer:
        return await door.ask("POST", Ask("/v1/forget", body), role)

    for role in ("reader", "project"):
        refused = await forgotten(role, ids=[f"{OWN}-gone-forget"])
        assert (refused.status, refused.json["code"]) == (403, "forbidden")
    for role in OUTSIDERS:
        assert (await forgotten(role, query="tide")).status == 401
    for whole in ({"rewrite": True}, {"purge": True}):
        assert (await forgotten("instance", ids=[f"{OWN}-gone-forget"], **whole)).status == 403

    theirs = await forgotten("instance", ids=[f"{OTHER}-gone-forget"])
    nobodys = await forgotten("instance", ids=["quagg-gone-forget"])
    assert theirs.status == nobodys.status == 404
    assert theirs.without(f"{OTHER}-gone") == nobodys.without("quagg-gone")
    named = await forgotten("instance", ids=[f"{OTHER}/{OTHER}-gone-forget"], system=OTHER)
    unknown = await forgotten("instance", ids=["quagg/quagg-gone-forget"], system="quagg")
    assert named.without(OTHER) == unknown.without("quagg")
    assert (await forgotten("instance", system=OTHER)).status == 404
    assert (await forgotten("instance", query="zanzibar")).status == 404

    told = await forgotten("instance", query=SAME)
    assert told.json["systems"] == {OWN: 1}
    assert told.json["same_text"] == {"memories": 0, "ids": []}
    assert told.json["last_row_id"] is None
    assert OTHER not in told.text
    entries = (await door.ask("GET", Ask("/v1/audit?action=memories.forgotten"), "admin")).json
    (entry,) = entries["entries"]
    assert entry["actor"].startswith("instance:")
    assert (entry["system_id"], entry["body"]) == (OWN, {"memories": 1})


async def test_what_is_done_by_hand_is_in_the_audit_log(door: Door) -> None:
    await door.ask("POST", Ask(f"/v1/quarantine/{OWN}/2/retry"), "instance")
    await door.ask("POST", Ask(f"/v1/quarantine/{OTHER}/3/drop"), "admin")
    await door.ask("POST", Ask(f"/v1/quarantine/{OTHER}/4/drop"), "instance")
    made = (await door.ask("POST", Ask("/v1/tokens", {"role": "reader"}), "admin")).json
    await door.ask("POST", Ask(f"/v1/tokens/{made['token_id']}/revoke"), "admin")
    page = (await door.ask("GET", Ask("/v1/audit?limit=4"), "admin")).json
    acts = [(entry["actor"].split(":")[0], entry["action"]) for entry in page["entries"]]
    assert acts == [
        ("admin", "token.revoked"),
        ("admin", "token.created"),
        ("admin", "quarantine.dropped"),
        ("instance", "quarantine.retried"),
    ]
    rest = (await door.ask("GET", Ask(f"/v1/audit?before={page['next_before']}"), "admin")).json
    assert rest["entries"][0]["action"] == "token.revoked"
    assert rest["next_before"] is None
    assert made["token"] not in json.dumps([page, rest])
    verified = (await door.ask("GET", Ask("/v1/audit/verify"), "admin")).json
    assert verified == {"ok": True, "problems": []}


async def test_a_new_token_is_shown_once_and_opens_what_it_says(door: Door) -> None:
    body = {"role": "reader", "systems": [OWN], "expires_in_s": 60, "name": "for a test"}
    made = (await door.ask("POST", Ask("/v1/tokens", body), "admin")).json
    bearer = {"authorization": f"Bearer {made['token']}"}
    me = (await door.ask("GET", Ask("/v1/me"), "nobody", **bearer)).json
    assert (me["role"], me["systems"], me["projects"]) == ("reader", [OWN], None)
    listed = await door.ask("GET", Ask("/v1/tokens"), "admin")
    assert made["token_id"] in listed.text
    assert made["token"].split("_", 2)[2] not in listed.text
    assert "sha256" not in listed.text
    await door.ask("POST", Ask(f"/v1/tokens/{made['token_id']}/revoke"), "admin")
    assert (await door.ask("GET", Ask("/v1/me"), "nobody", **bearer)).status == 401


NO_TOKENS = (
    {},
    {"role": "owner"},
    {"role": ["admin"]},
    {"role": "instance"},
    {"role": "instance", "system": "../x"},
    {"role": "reader", "system": "a"},
    {"role": "admin", "systems": ["a"]},
    {"role": "reader", "systems": "a"},
    {"role": "reader", "systems": []},
    {"role": "reader", "expires_in_s": -1},
    {"role": "reader", "expires_in_s": True},
    {"role": "reader", "expires_in_s": 1e300},
    {"role": "reader", "name": "x" * 101},
    {"role": "reader", "secret": "mine"},
)


async def test_a_token_that_cannot_be_made_is_one_sentence(door: Door) -> None:
    for body in NO_TOKENS:
        answer = await door.ask("POST", Ask("/v1/tokens", body), "admin")
        assert (answer.status, answer.json["code"]) == (422, "token_invalid"), body
        assert len(answer.json["detail"]) < 200


async def test_without_a_token_it_says_whether_it_is_ready_and_not_why(door: Door) -> None:
    for role in (*OUTSIDERS, *INSIDERS):
        state = (await door.ask("GET", Ask("/readyz"), role)).json
        assert ("parts" in state) is (role == "admin")
        assert state["ready"] is True
