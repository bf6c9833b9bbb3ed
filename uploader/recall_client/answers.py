"""What a call comes back with: always a dictionary that says `status`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final

# {"status": "success", …} or {"status": "error", "message", "code", "request_id"}
Answer = dict[str, Any]

_FROM_A_PROXY: Final = frozenset({502, 503, 504})


@dataclass(frozen=True, slots=True)
class Reply:
    """An HTTP answer, whoever gave it."""

    status: int
    body: bytes
    request_id: str | None = None

    @property
    def members(self) -> Mapping[str, Any] | None:
        """Its JSON object; None where it is none."""
        try:
            members = json.loads(self.body)
        except (ValueError, RecursionError):
            return None
        return members if isinstance(members, dict) else None

    @property
    def is_of_a_proxy(self) -> bool:
        """Said in front of a hub that is away. A hub's own 503 is a problem with a code."""
        return self.status in _FROM_A_PROXY and "code" not in (self.members or {})


def error(code: str, message: str, request_id: str) -> Answer:
    return {"status": "error", "message": message, "code": code, "request_id": request_id}


def answer(reply: Reply, url: str, request_id: str) -> Answer:
    """A hub's answer: what it gave, or why it refused."""
    members = reply.members
    if 200 <= reply.status < 300 and members is not None:
        return {"status": "success", **{k: v for k, v in members.items() if k != "status"}}
    if reply.status >= 400 and members is not None and "code" in members:
        return _problem(members, reply.request_id or request_id)
    said = f"what answers at {url} is no hub ({_phrase(reply.status)}); see to hub_url"
    return error("not_a_hub", said, reply.request_id or request_id)


def _problem(members: Mapping[str, Any], request_id: str) -> Answer:
    told = [str(members[name]) for name in ("detail", "hint") if members.get(name)]
    message = "; ".join(told) or str(members.get("title", "the hub refused"))
    return error(str(members["code"]), message, str(members.get("request_id") or request_id))


def _phrase(status: int) -> str:
    try:
        return f"{status} {HTTPStatus(status).phrase}"
    except ValueError:
        return str(status)
