"""What the hub says it has of this system: asked now, or as a run last read it."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from typing import Literal

from recall_uploader.acks import ACK_NOTE
from recall_uploader.app import Instance
from recall_uploader.deadline import Deadline
from recall_uploader.methods.base import Patience
from recall_uploader.methods.choose import PATH_ERRORS, open_methods
from recall_uploader.state import State
from recall_uploader.state_resends import Again
from recall_wire.doctor.within import within
from recall_wire.errors import ManifestInvalid, SettingsInvalid
from recall_wire.manifest import Ack, parse_ack

Told = Literal["now", "before", "never"]


@dataclass(frozen=True, slots=True)
class Quarantined:
    """`again`: whether its rows were sent again under a later number, or will be; `no`: refused
    too often in a row, so not until they change."""

    seq: int
    reason: str
    again: Again


@dataclass(frozen=True, slots=True)
class HubSaid:
    """`told`: just now, when a run last read it, or never. `complete_to` None: it has said
    nothing of this system yet."""

    told: Told = "never"
    complete_to: int | None = None
    missing: tuple[tuple[int, int], ...] = ()
    quarantined: tuple[Quarantined, ...] = ()


@dataclass(frozen=True, slots=True)
class Answer:
    """`ack` None: there is none."""

    ack: Ack | None


def ask(instance: Instance, system_id: str, seconds: float) -> Answer | None:
    """The first way that answers, each asked once; None where none does in time, or none is set."""
    deadline = Deadline.after(seconds, instance.monotonic)
    return within(deadline, [lambda: _ask(instance, system_id, deadline)])[0]


def hub_said(answer: Answer | None, state: State | None, system_id: str) -> HubSaid:
    if answer is not None:
        return _said("now", answer.ack, state)
    noted = _noted(state, system_id) if state is not None else None
    return _said("before", noted, state) if noted is not None else HubSaid()


def _ask(instance: Instance, system_id: str, deadline: Deadline) -> Answer | None:
    with ExitStack() as stack:
        patience = Patience(instance.retry, deadline).once()
        try:
            methods = open_methods(instance, stack)
        except SettingsInvalid:
            return None
        for method in methods:
            try:
                return Answer(method.ack(system_id, patience))
            except PATH_ERRORS:
                continue
    return None


def _noted(state: State, system_id: str) -> Ack | None:
    text = state.noted(ACK_NOTE)
    try:
        return parse_ack(text.encode(), system_id=system_id) if text else None
    except ManifestInvalid:
        return None


def _said(told: Told, ack: Ack | None, state: State | None) -> HubSaid:
    if ack is None:
        return HubSaid(told)
    return HubSaid(told, ack.complete_to, ack.missing, _quarantined(ack, state))


def _quarantined(ack: Ack, state: State | None) -> tuple[Quarantined, ...]:
    reasons = {item.seq: item.reason for item in ack.quarantined}
    if state is not None:  # by HTTP the hub says it in its answer, long before in an ack
        reasons = state.quarantined(ack.complete_to) | reasons
    return tuple(Quarantined(seq, reasons[seq], _again(state, seq)) for seq in sorted(reasons))


def _again(state: State | None, seq: int) -> Again:
    return "next upload" if state is None else state.again(seq)
