"""What can go wrong between the hub and an instance that it asks."""

from __future__ import annotations

from recall_wire.errors import TerminalError, TransientError


class PullInvalid(TerminalError):
    """A pull that cannot be done as it was asked for."""


class InstanceUnreachable(TransientError):
    """Nobody answers there now, or too slowly."""


class InstanceRefused(TerminalError):
    """The instance does not let the hub in."""


class AnswerInvalid(TerminalError):
    """An answer that no memories can be taken from."""


class NotSpoken(AnswerInvalid):
    """The instance does not speak the protocol that it was asked in."""
