"""What every way to the hub can do."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

from recall_uploader.deadline import Deadline
from recall_uploader.identity import Newest
from recall_uploader.outbox import Outbox
from recall_uploader.result import Method
from recall_uploader.retry import Retry
from recall_uploader.state import State
from recall_wire.manifest import Ack, Manifest

Progress = Callable[[int], None]
ShowProgress = Callable[[int], AbstractContextManager[Progress | None]]


@dataclass(frozen=True, slots=True)
class Patience:
    """How long, and how often, one attempt tries."""

    retry: Retry
    deadline: Deadline

    def until(self, deadline: Deadline) -> Patience:
        return Patience(self.retry.bounded(deadline), deadline)

    def once(self) -> Patience:
        """A single try, for a probe."""
        return Patience(self.retry.once(), self.deadline)


@dataclass(frozen=True, slots=True)
class Delivered:
    """What one attempt delivered, in order, and what a person should know of it."""

    manifests: tuple[Manifest, ...] = ()
    warnings: tuple[str, ...] = ()


class SyncMethod(Protocol):
    """A way to the hub. Each method raises `TransientError` where it cannot be used now, and
    `BucketRefused` or `HubRefused` where a person must act first."""

    @property
    def name(self) -> Method: ...

    @property
    def path(self) -> str:
        """Tells this way from the same one to another address, without any secret."""

    def newest(self, system_id: str, patience: Patience) -> Newest:
        """The newest snapshot that arrived this way, for an instance that has no state."""

    def ack(self, system_id: str, patience: Patience) -> Ack | None:
        """What the hub says it has; None where it has said nothing yet."""

    def waiting_bytes(self, outbox: Outbox) -> int:
        """What `send` would have to move."""

    def send(
        self, state: State, outbox: Outbox, patience: Patience, progress: Progress | None
    ) -> Delivered:
        """Deliver what waits, by number; what could not be delivered stays in the outbox.

        Raises `SystemClash` where another writer has one of the numbers, `OutboxDamaged` where
        a file is not what it was.
        """
