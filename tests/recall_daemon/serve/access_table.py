"""What each route answers to whom: add a row for every route that is added.

`test_access.py` fails for a route of the OpenAPI document that has no row here, asks each row as
every role, and looks through all that comes back for what that role may not see.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from recall_daemon.serve.push import PARQUET
from recall_wire.manifest import sha256_hex

# The systems of the hub that is asked, and one that it has never heard of. Of equal length: what
# is said of the last two may differ in the name alone.
OWN, OTHER, UNKNOWN = "laptop", "zebra", "quagga"
OUTSIDERS = ("nobody", "wrong", "expired", "revoked")
# `instance`: of OWN. `reader`: of OWN. `project`: of the project red in all systems.
INSIDERS = ("instance", "reader", "project", "admin")

# anyone: also without a token. everyone: with any token; what comes back is narrowed.
# whole: who may read everything. writer: who may write the system that is named. changer: who may
# write it, of a memory there; it is not there for those who do not see it.
Needs = Literal["anyone", "everyone", "whole", "writer", "changer", "admin"]


@dataclass(frozen=True)
class Ask:
    """A request. `path` has every name in it."""

    path: str
    body: Any = None
    content_type: str = "application/json"
    headers: tuple[tuple[str, str], ...] = ()

    @property
    def content(self) -> bytes:
        if isinstance(self.body, bytes):
            return self.body
        return b"" if self.body is None else json.dumps(self.body).encode()


@dataclass(frozen=True)
class Row:
    """A route as the OpenAPI document names it, and how it is asked.

    `ask(system, role)` names a system where `names_system`; then the row is asked of each, and what
    it answers for a system out of reach must be what it answers for one that does not exist.
    `ok`: the status for whoever may; `missing`: for whoever may ask, of what they may not see.
    """

    method: str
    path: str
    needs: Needs
    ask: Callable[[str, str], Ask]
    names_system: bool = False
    ok: int = 200
    missing: int = 404

    @property
    def name(self) -> str:
        return f"{self.method} {self.path}"

    def expected(self, system: str, role: str) -> int:
        if role in OUTSIDERS:
            return self.ok if self.needs == "anyone" else 401
        if role == "admin":
            return self.missing if self.names_system and system == UNKNOWN else self.ok
        if self.needs in ("admin", "whole"):
            return 403
        if self.needs == "writer" and (role != "instance" or system != OWN):
            return 403
        # What is asked for in OTHER is of the project red: a reader of that project sees it.
        unseen = system == UNKNOWN or (system == OTHER and role != "project")
        if self.needs == "changer" and not unseen:
            return self.ok if role == "instance" else 403
        return self.missing if self.names_system and unseen else self.ok


def _at(path: str, body: Any = None) -> Callable[[str, str], Ask]:
    return lambda system, role: Ask(path.format(system=system), body)


# Each of those who may retry and drop has a snapshot in quarantine of their own.
_SEQ = {"instance": 2, "admin": 3}


def _quarantined(action: str = "", first: int = 0) -> Callable[[str, str], Ask]:
    def ask(system: str, role: str) -> Ask:
        return Ask(f"/v1/quarantine/{system}/{first + _SEQ.get(role, 2)}{action}")

    return ask


def _memory(prefix: str) -> Callable[[str, str], Ask]:
    return lambda system, role: Ask(f"{prefix}/{system}/{system}-red-0")


def _fenced(act: str) -> Callable[[str, str], Ask]:
    return lambda system, role: Ask(
        f"/v1/locks/{act}", {"memory_id": f"{system}/{system}-red-2", "fence": 1}
    )


def _pushed(path: str, body: Any = None, **changes: Any) -> Callable[[str, str], Ask]:
    return lambda system, role: Ask(f"/v1/push/{system}/9{path}", body, **changes)


_NO_SHA = "0" * 64
_BATCH = {"x-content-sha256": sha256_hex(b"x"), "x-manifest-sha256": _NO_SHA, "x-rows": "1"}

# In the order in which they are asked: what changes something comes last.
ROWS = (
    Row("GET", "/healthz", "anyone", _at("/healthz")),
    Row("GET", "/readyz", "anyone", _at("/readyz")),
    Row("GET", "/v1/me", "everyone", _at("/v1/me")),
    Row("POST", "/v1/search", "everyone", _at("/v1/search", {"query": "tide", "explain": True})),
    Row("GET", "/v1/status", "everyone", _at("/v1/status")),
    Row("GET", "/v1/systems", "everyone", _at("/v1/systems")),
    Row("GET", "/v1/quarantine", "everyone", _at("/v1/quarantine")),
    Row("GET", "/v1/snapshots", "everyone", _at("/v1/snapshots")),
    Row("GET", "/v1/memories", "everyone", _at("/v1/memories")),
    Row("GET", "/v1/locks", "everyone", _at("/v1/locks")),
    Row("GET", "/v1/events", "everyone", _at("/v1/events?after=0")),
    Row("GET", "/v1/events/recent", "everyone", _at("/v1/events/recent")),
    Row("GET", "/metrics", "whole", _at("/metrics")),
    Row("GET", "/v1/verify", "admin", _at("/v1/verify")),
    Row("GET", "/v1/model", "admin", _at("/v1/model")),
    Row("GET", "/v1/tiers", "admin", _at("/v1/tiers")),
    Row("GET", "/v1/tiers/due", "admin", _at("/v1/tiers/due")),
    Row("GET", "/v1/jobs", "admin", _at("/v1/jobs")),
    Row("GET", "/v1/backups", "admin", _at("/v1/backups")),
    Row("GET", "/v1/expiry", "admin", _at("/v1/expiry")),
    Row("GET", "/v1/tokens", "admin", _at("/v1/tokens")),
    Row("GET", "/v1/audit", "admin", _at("/v1/audit")),
    Row("GET", "/v1/audit/verify", "admin", _at("/v1/audit/verify")),
    Row("GET", "/v1/quarantine/{system_id}/{seq}", "everyone", _quarantined(), names_system=True),
    Row(
        "GET",
        "/v1/memories/{system_id}/{memory_id}",
        "everyone",
        _memory("/v1/memories"),
        names_system=True,
    ),
    Row(
        "GET",
        "/v1/related/{system_id}/{memory_id}",
        "everyone",
        _memory("/v1/related"),
        names_system=True,
    ),
    Row(
        "GET",
        "/v1/agent/memories/{memory_id}",
        "everyone",
        _memory("/v1/agent/memories"),
        names_system=True,
    ),
    Row(
        "GET",
        "/v1/agent/children/{memory_id}",
        "everyone",
        _memory("/v1/agent/children"),
        names_system=True,
    ),
    Row(
        "POST",
        "/v1/agent/memories/get",
        "everyone",
        lambda system, role: Ask("/v1/agent/memories/get", {"ids": [f"{system}/{system}-red-0"]}),
        names_system=True,
        missing=200,
    ),
    # A system that is not known may be pushed: that is how it becomes known.
    Row(
        "GET",
        "/v1/push/{system_id}",
        "writer",
        _at("/v1/push/{system}"),
        names_system=True,
        missing=200,
    ),
    # Past the question of who may: there is no such push, and no manifest.
    Row(
        "PUT",
        "/v1/push/{system_id}/{seq}",
        "writer",
        _pushed("", {}),
        names_system=True,
        ok=422,
        missing=422,
    ),
    Row(
        "PUT",
        "/v1/push/{system_id}/{seq}/batches/{number}",
        "writer",
        _pushed("/batches/1", b"x", content_type=PARQUET, headers=tuple(_BATCH.items())),
        names_system=True,
        ok=409,
        missing=409,
    ),
    Row(
        "POST",
        "/v1/push/{system_id}/{seq}/commit",
        "writer",
        _pushed("/commit", {"manifest_sha256": _NO_SHA, "batches": []}),
        names_system=True,
        ok=409,
        missing=409,
    ),
    Row("POST", "/v1/pull", "admin", _at("/v1/pull", {"urls": ["ftp://x"]}), ok=422),
    # The hub of the test has no schedule that runs: it is stopping, it says.
    Row("POST", "/v1/jobs/{kind}/run", "admin", _at("/v1/jobs/age/run"), ok=503),
    Row("POST", "/v1/rebuild", "admin", _at("/v1/rebuild"), ok=503),
    Row("POST", "/v1/tokens", "admin", _at("/v1/tokens", {"role": "reader"}), ok=201),
    Row("POST", "/v1/tokens/{token_id}/revoke", "admin", _at("/v1/tokens/0/revoke"), ok=404),
    Row(
        "POST",
        "/v1/memories",
        "writer",
        lambda system, role: Ask(
            "/v1/memories", {"system": system, "memory_id": f"new-{role}", "text": "a new tide"}
        ),
        names_system=True,
        missing=200,
    ),
    Row(
        "GET",
        "/v1/agent/relationships/{memory_id}",
        "everyone",
        _memory("/v1/agent/relationships"),
        names_system=True,
    ),
    Row("GET", "/v1/agents", "everyone", _at("/v1/agents")),
    Row("GET", "/v1/agents/{name}/slice", "everyone", _at("/v1/agents/helper/slice")),
    Row("GET", "/v1/agents/{name}/allocation", "everyone", _at("/v1/agents/helper/allocation")),
    Row("GET", "/v1/agents/statistics", "whole", _at("/v1/agents/statistics")),
    Row("GET", "/v1/agents/coordinator", "whole", _at("/v1/agents/coordinator")),
    Row("POST", "/v1/agent/search", "everyone", _at("/v1/agent/search", {"query": "tide"})),
    Row("GET", "/v1/shares", "everyone", _at("/v1/shares")),
    Row(
        "GET",
        "/v1/agent/versions/{memory_id}",
        "everyone",
        _memory("/v1/agent/versions"),
        names_system=True,
    ),
    Row(
        "PATCH",
        "/v1/agent/memories/{memory_id}",
        "changer",
        lambda system, role: Ask(f"/v1/agent/memories/{system}/{system}-red-0", {"pinned": True}),
        names_system=True,
    ),
    Row("GET", "/v1/conflicts", "everyone", _at("/v1/conflicts")),
    Row("GET", "/v1/conflicts/{conflict_id}", "everyone", _at("/v1/conflicts/none"), ok=404),
    Row(
        "POST",
        "/v1/conflicts/{conflict_id}/resolve",
        "everyone",
        _at("/v1/conflicts/none/resolve", {"choose": "ours"}),
        ok=404,
    ),
    Row(
        "POST",
        "/v1/conflicts/{conflict_id}/undo",
        "everyone",
        _at("/v1/conflicts/none/undo", {}),
        ok=404,
    ),
    Row(
        "POST",
        "/v1/shares",
        "changer",
        lambda system, role: Ask(
            "/v1/shares", {"memory_id": f"{system}/{system}-red-0", "agents": ["helper"]}
        ),
        names_system=True,
    ),
    Row("DELETE", "/v1/shares/{share_id}", "everyone", _at("/v1/shares/999"), ok=404),
    Row("GET", "/v1/share-rules", "everyone", _at("/v1/share-rules")),
    Row(
        "POST",
        "/v1/share-rules",
        "admin",
        _at("/v1/share-rules", {"tag": "tides", "targets": ["helper"]}),
    ),
    Row("DELETE", "/v1/share-rules/{rule_id}", "admin", _at("/v1/share-rules/999"), ok=404),
    Row(
        "DELETE",
        "/v1/agent/relationships/{relationship_id}",
        "everyone",
        _at("/v1/agent/relationships/7"),
        ok=404,
    ),
    # The other memory is there for nobody.
    Row(
        "POST",
        "/v1/agent/relationships",
        "everyone",
        _at("/v1/agent/relationships", {"from_id": "nobody", "to_id": "nobody", "type": "x"}),
        ok=404,
    ),
    Row(
        "POST",
        "/v1/agent/reinforce",
        "everyone",
        _at("/v1/agent/reinforce", {"memory_id": "nobody"}),
        ok=404,
    ),
    Row(
        "GET",
        "/v1/agent/fate/{memory_id}",
        "everyone",
        _memory("/v1/agent/fate"),
        names_system=True,
    ),
    # There is no such memory, and none of that number was ever deleted.
    Row(
        "DELETE",
        "/v1/agent/memories/{memory_id}",
        "everyone",
        _at("/v1/agent/memories/nobody"),
        ok=404,
    ),
    Row(
        "POST",
        "/v1/agent/deletions/{deletion_id}/undo",
        "everyone",
        _at("/v1/agent/deletions/7/undo"),
        ok=404,
    ),
    Row("POST", "/v1/agent/sessions", "writer", _at("/v1/agent/sessions", {})),
    Row("GET", "/v1/agent/groups", "everyone", _at("/v1/agent/groups")),
    Row("POST", "/v1/agent/groups", "writer", _at("/v1/agent/groups", {"name": "tides"})),
    Row(
        "POST",
        "/v1/agent/groups/{group_id}/members",
        "everyone",
        _at("/v1/agent/groups/999/members", {"memory_ids": []}),
        ok=404,
    ),
    Row(
        "GET",
        "/v1/agent/groups/{group_id}/memories",
        "everyone",
        _at("/v1/agent/groups/999/memories"),
        ok=404,
    ),
    Row("POST", "/v1/agent/memories", "writer", _at("/v1/agent/memories", {"content": "a tide"})),
    Row(
        "POST",
        "/v1/agent/memories/batch",
        "writer",
        _at("/v1/agent/memories/batch", {"memories": [{"content": "a tide"}]}),
    ),
    # One that may not be stored is an error of its own, among those that may.
    Row(
        "POST",
        "/v1/memories/batch",
        "everyone",
        lambda system, role: Ask(
            "/v1/memories/batch",
            {"system": system, "memories": [{"memory_id": f"more-{role}", "text": "a new tide"}]},
        ),
        names_system=True,
        missing=200,
    ),
    # Each of those who may has a memory of their own to lock; nobody has the others' locks.
    Row(
        "POST",
        "/v1/locks",
        "changer",
        lambda system, role: Ask(
            "/v1/locks", {"memory_id": f"{system}/{system}-red-{int(role == 'admin')}", "wait_s": 0}
        ),
        names_system=True,
    ),
    Row("POST", "/v1/locks/renew", "changer", _fenced("renew"), names_system=True, ok=409),
    Row("POST", "/v1/locks/release", "changer", _fenced("release"), names_system=True, ok=409),
    Row(
        "POST",
        "/v1/locks/force-release",
        "admin",
        _at("/v1/locks/force-release", {"memory_id": "nobody's", "reason": "stuck"}),
        ok=409,
    ),
    Row(
        "POST",
        "/v1/quarantine/{system_id}/{seq}/retry",
        "writer",
        _quarantined("/retry"),
        names_system=True,
    ),
    Row(
        "POST",
        "/v1/quarantine/{system_id}/{seq}/drop",
        "writer",
        _quarantined("/drop", first=2),
        names_system=True,
    ),
    Row(
        "DELETE",
        "/v1/memories/{system_id}/{memory_id}",
        "writer",
        lambda system, role: Ask(f"/v1/memories/{system}/{system}-gone-{role}"),
        names_system=True,
    ),
)

# `POST /v1/forget` names what it reaches in its body, and has tests of its own.
ELSEWHERE = frozenset({"POST /v1/forget"})
