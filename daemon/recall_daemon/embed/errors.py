"""How embedding fails."""

from __future__ import annotations

from recall_wire.errors import TerminalError, TransientError


class ModelMissing(TerminalError):
    """There is no model, or no library to run it, on this machine."""


class ModelDamaged(TerminalError):
    """The model's files are not what they should be."""


class EmbeddingFailed(TransientError):
    """The model was loaded but gave no vectors this time."""
