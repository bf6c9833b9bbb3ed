"""What the checks look at: the instance, and what its folder says without being locked."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from recall_uploader.app import Instance
from recall_uploader.deadline import Deadline
from recall_uploader.machine import default_system_id
from recall_uploader.retry import Retry
from recall_uploader.run import read_state
from recall_uploader.state import State
from recall_uploader.state_file import STATE_FILE

# So that a call without an answer leaves time for the others.
CALL_S = 5.0


@dataclass(frozen=True, slots=True)
class Look:
    """One examination. `settings_file` None: there is none."""

    instance: Instance
    settings_file: Path | None
    deadline: Deadline

    @property
    def retry(self) -> Retry:
        """Nothing is tried twice: a bucket that answers every second call is worth knowing."""
        return self.instance.retry.once()

    def call_deadline(self) -> Deadline:
        """For one call over HTTP."""
        return Deadline.after(min(CALL_S, self.deadline.left_s), self.deadline.clock)

    @contextmanager
    def state(self) -> Iterator[State | None]:
        """Read-only; None where there is none, or a damaged one. Raises `StateNewer`, and
        `StateBusy` where it cannot be read now. An SQLite connection stays in its thread, so
        every group of checks opens its own."""
        state, _ = read_state(self.instance.folder / STATE_FILE, read_only=True)
        if state is None:
            yield None
            return
        with closing(state):
            yield state

    def system_id(self, state: State | None) -> str:
        if state is not None:
            return state.identity.system_id
        return self.instance.settings.system_id or default_system_id(self.instance.machine)
