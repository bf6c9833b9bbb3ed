"""`recall status`: what is delivered, what the hub made of it, and what waits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack, closing, suppress
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from recall_uploader.app import Instance
from recall_uploader.errors import SystemClash
from recall_uploader.hub_said import HubSaid, ask, hub_said
from recall_uploader.identity import check_machine
from recall_uploader.machine import default_system_id
from recall_uploader.methods.breaker import Breaker, BreakerState
from recall_uploader.methods.choose import open_methods
from recall_uploader.outbox_run import Item, items
from recall_uploader.result import Method
from recall_uploader.run import read_state
from recall_uploader.state import State
from recall_uploader.state_file import STATE_FILE
from recall_wire.errors import RecallError, SettingsInvalid

ASK_S = 6.0

Condition = Literal["ok", "none", "damaged", "unusable"]


@dataclass(frozen=True, slots=True)
class Waiting:
    """What lies in the outbox. `pushed`: of these, the hub has them and the bucket has not;
    `broken`: they cannot be sent. `failed`: taken out and kept to look at, counted apart."""

    snapshots: int = 0
    rows: int = 0
    bytes: int = 0
    oldest_at: datetime | None = None
    pushed: int = 0
    broken: int = 0
    failed: int = 0


@dataclass(frozen=True, slots=True)
class Way:
    """A way to the hub, and how often it has failed in a row."""

    name: Method
    status: BreakerState
    failures: int


@dataclass(frozen=True, slots=True)
class Status:
    """`machine`: the first digits of its hash. `delivered_seq` 0: nothing yet; its time is None
    where nobody can tell any more. `last_run_at`: when a run last worked in the state folder."""

    system_id: str
    machine: str
    state_folder: str
    state: Condition
    bucket_url: str | None
    hub_url: str | None
    delivered_seq: int = 0
    delivered_at: datetime | None = None
    next_seq: int | None = None
    hub: HubSaid = field(default_factory=HubSaid)
    outbox: Waiting = field(default_factory=Waiting)
    ways: tuple[Way, ...] = ()
    last_run_at: datetime | None = None
    warnings: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """The JSON object of `recall status --json`; times as ISO 8601, in UTC."""
        return {name: _plain(value) for name, value in asdict(self).items()}


def status_of(instance: Instance, *, ask_s: float = ASK_S) -> Status:
    """Read-only, and without the state folder's lock: what is there at this moment.

    Asks once for the hub's ack, for `ask_s` seconds at most; without an answer the one that a run
    noted last counts. Raises nothing for a state that is missing, damaged or another's.
    """
    state, condition, warnings = _open(instance)
    folder, settings = instance.folder, instance.settings
    own_id = settings.system_id or default_system_id(instance.machine)
    status = Status(
        system_id=state.identity.system_id if state else own_id,
        machine=instance.machine[:8],
        state_folder=str(folder),
        state=condition,
        bucket_url=settings.bucket_url,
        hub_url=settings.hub_url,
        outbox=_waiting(items(instance)),
        last_run_at=_changed_at(folder) if state else None,
        warnings=warnings,
    )
    answer = ask(instance, status.system_id, ask_s)
    if state is None:
        return replace(status, hub=hub_said(answer, None, status.system_id))
    with closing(state):
        delivered = max(state.committed.seq, state.final_seq)
        return replace(
            status,
            delivered_seq=delivered,
            delivered_at=_changed_at(folder / "outbox/sent") if delivered else None,
            next_seq=state.next_seq,
            hub=hub_said(answer, state, status.system_id),
            ways=ways(instance, state),
        )


def _open(instance: Instance) -> tuple[State | None, Condition, tuple[str, ...]]:
    path = instance.folder / STATE_FILE
    try:
        state, damaged = read_state(path, read_only=True)
    except RecallError as error:
        return None, "unusable", (str(error),)
    if state is None and damaged:
        says = f"{path} is damaged: the next upload sets it aside and sends everything once more"
        return None, "damaged", (says,)
    if state is None:
        return None, "none", ()
    try:
        check_machine(state, instance.machine, instance.settings.system_id)
    except SystemClash as error:
        return state, "ok", (str(error),)
    return state, "ok", ()


def _waiting(found: Sequence[Item]) -> Waiting:
    waiting = [item for item in found if item.where != "failed"]
    return Waiting(
        snapshots=len(waiting),
        rows=sum(item.rows for item in waiting),
        bytes=sum(item.bytes for item in waiting),
        oldest_at=min((item.created_at for item in waiting if item.created_at), default=None),
        pushed=sum(item.pushed for item in waiting),
        broken=sum(bool(item.reason) for item in waiting),
        failed=len(found) - len(waiting),
    )


def ways(instance: Instance, state: State) -> tuple[Way, ...]:
    """Those the settings allow; none of them is asked anything."""
    found: list[Way] = []
    with ExitStack() as stack, suppress(SettingsInvalid):
        for method in open_methods(instance, stack):
            breaker = Breaker(state, method.path, instance.clock)
            found.append(Way(method.name, breaker.status, breaker.failures))
    return tuple(found)


def _changed_at(folder: Path) -> datetime | None:
    """A run makes and removes its scratch folder, and moves what it delivered: the folder's own
    time tells when."""
    try:
        return datetime.fromtimestamp(folder.stat().st_mtime, UTC).replace(microsecond=0)
    except OSError:
        return None


def _plain(value: object) -> object:
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, Mapping):
        return {name: _plain(item) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return value
