"""What each role may do by hand: forget, make tokens; and the audit log of it."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))  # access_table, door
from access_table import OTHER, OUTSIDERS, OWN, Ask
from door import SAME, Answer, Door


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
