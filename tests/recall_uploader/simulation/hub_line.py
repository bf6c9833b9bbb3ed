"""The instance's client of the hub, behind a bad line."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

from hub import Hub
from plan import MACHINE, SYSTEM
from shared import Shared
from steps import Steps
from weather import Fault, Weather

from recall_uploader.deadline import Deadline
from recall_uploader.errors import HubRefused, HubThrottled, HubUnreachable
from recall_uploader.methods.batches import Batch
from recall_uploader.methods.hub import Opening, Told
from recall_wire.errors import SnapshotInvalid
from recall_wire.manifest import parse_manifest, sha256_hex

_T = TypeVar("_T")
_READ_TIMEOUT_S = 20.0


class HubLine:
    """See `HubClient`. What the hub acknowledges is on its disk."""

    def __init__(self, hub: Hub, weather: Weather, steps: Steps, shared: Shared) -> None:
        self._hub = hub
        self._weather = weather
        self._steps = steps
        self._shared = shared
        self.url = "http://hub"

    def close(self) -> None:
        """Nothing is held open between calls."""

    def told(self, system_id: str, deadline: Deadline) -> Told:
        return self._call("told", deadline, self._told)

    def open(self, system_id: str, seq: int, manifest: bytes, deadline: Deadline) -> Opening:
        return self._call(f"open {seq}", deadline, lambda: self._open(seq, manifest))

    def send_batch(
        self, system_id: str, seq: int, batch: Batch, deadline: Deadline, *, manifest_sha256: str
    ) -> None:
        path = self._hub.batches(seq) / f"{batch.number}-{batch.sha256}-{batch.rows}"
        self._call(f"batch {seq}", deadline, lambda: path.write_bytes(batch.data))

    def commit(
        self,
        system_id: str,
        seq: int,
        manifest_sha256: str,
        batches: Sequence[str],
        deadline: Deadline,
    ) -> None:
        self._call(f"commit {seq}", deadline, lambda: self._commit(seq, manifest_sha256, batches))

    def _told(self) -> Told:
        ack, ledger = self._hub.ack(), self._hub.ledger
        highest = max(ledger, default=0)
        sha256 = ledger.get(highest, "")
        return Told(highest, sha256, MACHINE, "", ack.complete_to, (), ack.quarantined)

    def _open(self, seq: int, data: bytes) -> Opening:
        parse_manifest(data, system_id=SYSTEM, seq=seq)
        folder = self._hub.batches(seq)
        folder.mkdir(exist_ok=True)
        (folder / "manifest").write_bytes(data)
        have = {int(number): sha256 for number, sha256, _ in _staged(folder)}
        return Opening(self._hub.ledger.get(seq) == sha256_hex(data), have)

    def _commit(self, seq: int, manifest_sha256: str, batches: Sequence[str]) -> None:
        folder = self._hub.batches(seq)
        data = (folder / "manifest").read_bytes()
        manifest = parse_manifest(data, system_id=SYSTEM, seq=seq)
        staged = {sha256: int(rows) for _, sha256, rows in _staged(folder)}
        assert sha256_hex(data) == manifest_sha256, "the manifest is another one"
        assert sum(staged[sha256] for sha256 in batches) == manifest.rows, "rows are missing"
        if not self._hub.take(manifest, manifest_sha256):
            raise SnapshotInvalid("cannot be read")

    def _call(self, what: str, deadline: Deadline, make: Callable[[], _T]) -> _T:
        deadline.check()
        self._steps.step("hub", f"before {what}")
        fault = self._weather.fault(what)
        if fault is not None:
            self._shared.tell(f"    {fault}: hub, {what}")
        self._fail_before(fault)
        with self._steps.beyond_the_line():
            answer = make()
        self._steps.step("hub", f"after {what}")
        if fault in ("lost", "late", "torn", "lie"):
            raise HubUnreachable("no answer")
        return answer

    def _fail_before(self, fault: Fault | None) -> None:
        if fault in ("hang", "late"):
            self._shared.sleep(_READ_TIMEOUT_S)
        if fault in ("cut", "hang", "conflict"):
            raise HubUnreachable("the line is cut")
        if fault == "throttled":
            raise HubThrottled("later", retry_after_s=self._weather.wait_s())
        if fault == "refused":
            raise HubRefused("no token")


def _staged(folder: Path) -> list[list[str]]:
    return [path.name.split("-") for path in folder.iterdir() if path.name != "manifest"]
