"""Errors say what is wrong without the secrets that their sentences quote."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from recall_uploader.redact.redactor import Redactor
from recall_wire.errors import RecallError


@contextmanager
def discreet(redactor: Redactor | None) -> Iterator[None]:
    """A `RecallError` that passes is the same one, its sentences redacted: they reach standard
    error and logs, and may quote a row's id or what a library said of a value."""
    try:
        yield
    except RecallError as error:
        if redactor is not None:
            error.message, error.hint = map(redactor.sentence, (error.message, error.hint))
            error.args = (error.message,)
        raise
