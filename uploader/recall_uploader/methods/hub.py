"""The hub's HTTP interface for pushed snapshots, as its client. docs/contract.md has the form."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

if TYPE_CHECKING:
    import httpx

from recall_uploader.deadline import Deadline
from recall_uploader.errors import HubRefused, HubThrottled, HubUnreachable, SystemClash
from recall_uploader.methods.batches import Batch
from recall_uploader.recover import REMEDY
from recall_wire.errors import RecallError, SnapshotInvalid
from recall_wire.manifest import QuarantinedSeq

CONNECT_S = 5.0
ANSWER_S = 60.0  # a commit answers when the rows are merged
# What the hub will not take however often it is sent.
_QUARANTINED = (
    "snapshot_quarantined",
    "manifest_invalid",
    "snapshot_invalid",
    "limit_exceeded",
    "body_too_large",
)
_LATER = (429, 503, 507)
_AGAIN = (408, 409, 425)
_PARQUET = "application/vnd.apache.parquet"


@dataclass(frozen=True, slots=True)
class Told:
    """What a hub has of a system, whichever way it came. seq 0: it has never heard of it."""

    highest_seq: int
    manifest_sha256: str
    machine: str
    instance_id: str
    complete_to: int
    missing: tuple[tuple[int, int], ...]
    quarantined: tuple[QuarantinedSeq, ...]


@dataclass(frozen=True, slots=True)
class Opening:
    """The hub's answer to a manifest. `settled`: it needs nothing more of it. `have`: the
    batches that lie there from an earlier try, each with its sha256."""

    settled: bool
    have: Mapping[int, str]


class HubClient:
    """Raises `HubUnreachable` and `HubThrottled` (transient), `HubRefused` where a person must
    act, `SystemClash` where another snapshot has the number, and `SnapshotInvalid` where the hub
    has put the snapshot into quarantine. The token is never part of a message."""

    def __init__(self, url: str, token: str | None) -> None:
        import httpx  # 12 MiB that a run without a hub does without

        headers = {"authorization": f"Bearer {token}"} if token else {}
        timeout = httpx.Timeout(ANSWER_S, connect=CONNECT_S)
        self._http = httpx.Client(base_url=url, headers=headers, timeout=timeout)
        self.url = url

    def close(self) -> None:
        self._http.close()

    def told(self, system_id: str, deadline: Deadline) -> Told:
        answer = self._ask("GET", _path(system_id), deadline)
        try:
            return Told(
                highest_seq=int(answer["highest_seq"]),
                manifest_sha256=str(answer["manifest_sha256"] or ""),
                machine=str(answer["machine"] or ""),
                instance_id=str(answer["instance_id"] or ""),
                complete_to=int(answer["complete_to"]),
                missing=tuple((int(first), int(last)) for first, last in answer["missing"]),
                quarantined=tuple(QuarantinedSeq(**item) for item in answer["quarantined"]),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise self._no_hub() from error

    def open(self, system_id: str, seq: int, manifest: bytes, deadline: Deadline) -> Opening:
        """Announce a snapshot. Idempotent."""
        answer = self._ask("PUT", _path(system_id, seq), deadline, content=manifest)
        try:
            have = {int(item["number"]): str(item["sha256"]) for item in answer["have"]}
            return Opening(answer["state"] in ("merged", "dropped"), have)
        except (KeyError, TypeError, ValueError) as error:
            raise self._no_hub() from error

    def send_batch(
        self,
        system_id: str,
        seq: int,
        batch: Batch,
        deadline: Deadline,
        *,
        manifest_sha256: str,
    ) -> None:
        """Idempotent. The batch is on the hub's disk when this returns."""
        headers = {
            "content-type": _PARQUET,
            "x-content-sha256": batch.sha256,
            "x-manifest-sha256": manifest_sha256,
            "x-rows": str(batch.rows),
        }
        path = f"{_path(system_id, seq)}/batches/{batch.number}"
        self._ask("PUT", path, deadline, content=batch.data, headers=headers)

    def commit(
        self,
        system_id: str,
        seq: int,
        manifest_sha256: str,
        batches: Sequence[str],
        deadline: Deadline,
    ) -> None:
        """`batches`: their digests, in order. Idempotent. The snapshot is merged, and durable,
        when this returns."""
        said = {"manifest_sha256": manifest_sha256, "batches": list(batches)}
        body = json.dumps(said).encode()
        self._ask("POST", f"{_path(system_id, seq)}/commit", deadline, content=body)

    def _ask(
        self,
        method: str,
        path: str,
        deadline: Deadline,
        *,
        content: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> dict[str, Any]:
        import httpx

        deadline.check()
        longest_s = min(ANSWER_S, max(1.0, deadline.left_s))
        try:
            response = self._http.request(
                method,
                path,
                content=content,
                headers={"content-type": "application/json", **(headers or {})},
                timeout=httpx.Timeout(longest_s, connect=min(CONNECT_S, longest_s)),
            )
        except httpx.HTTPError as error:
            # Not chained: what caused it may quote the token's header.
            raise HubUnreachable(
                f"the hub at {self.url} does not answer ({_reason(error)})",
                hint="see whether `recalld run` is up there, and hub_url",
            ) from None
        if response.is_success:
            return self._json(response)
        raise self._problem(response)

    def _json(self, response: httpx.Response) -> dict[str, Any]:
        try:
            answer = response.json()
        except ValueError as error:
            raise self._no_hub() from error
        if not isinstance(answer, dict):
            raise self._no_hub()
        return answer

    def _problem(self, response: httpx.Response) -> RecallError:
        status, (code, detail) = response.status_code, _said(response)
        said = f"the hub at {self.url} answers {status}: {detail}"
        if code == "snapshot_clash":
            return SystemClash(f"the hub at {self.url} says: {detail}", hint=REMEDY)
        if code in _QUARANTINED:
            return SnapshotInvalid(detail)
        if status in _LATER:
            return HubThrottled(said, retry_after_s=_retry_after_s(response))
        if status >= 500 or status in _AGAIN or code == "batch_corrupt":
            return HubUnreachable(said)
        if status in (404, 405):
            return self._no_hub()
        return HubRefused(said, hint="see to hub_token" if status in (401, 403) else "")

    def _no_hub(self) -> HubRefused:
        return HubRefused(
            f"what answers at {self.url} is no hub that takes snapshots",
            hint="see to hub_url, and to the hub's version",
        )


def _path(system_id: str, seq: int | None = None) -> str:
    number = "" if seq is None else f"/{seq}"
    return f"/v1/push/{quote(system_id, safe='')}{number}"


def _said(response: httpx.Response) -> tuple[str, str]:
    """The code and sentence of problem details; of anything else only its status."""
    try:
        members = response.json()
        return str(members.get("code", "")), str(members.get("detail", ""))[:500]
    except (ValueError, AttributeError):
        return "", response.reason_phrase


def _retry_after_s(response: httpx.Response) -> float | None:
    try:
        return float(response.headers["retry-after"])
    except (KeyError, ValueError):
        return None


def _reason(error: Exception) -> str:
    """Never the library's own words, unless it could not connect: they may quote a header."""
    import httpx

    if isinstance(error, httpx.TimeoutException):
        return "no answer in time"
    return str(error)[:200] if isinstance(error, httpx.ConnectError) else type(error).__name__
