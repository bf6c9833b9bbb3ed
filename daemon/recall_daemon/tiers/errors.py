"""What can go wrong with cold texts."""

from __future__ import annotations

from recall_wire.errors import TerminalError, TransientError


class NoColdBucket(TerminalError):
    """No bucket is named, so nothing turns cold."""


class ColdUnproven(TransientError):
    """An object reads back other than it was written: no row was moved there."""


class ColdDamaged(TerminalError):
    """A cold file is missing, cut short, or holds other bytes than were written."""


class ColdAway(TransientError):
    """The bucket with the cold files does not answer, or not in time."""
