"""A secret in the data folder: whoever can read it may do everything, as they could anyway."""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from recall_wire.errors import SettingsInvalid

FILE_NAME = "local.token"


@contextmanager
def local_token(folder: Path) -> Iterator[str]:
    """A secret for as long as this process serves, in a file that its user alone can read.

    A killed process leaves the file, which opens nothing any more.
    """
    path, secret = folder / FILE_NAME, secrets.token_urlsafe(32)
    fresh = folder / f"{FILE_NAME}.new"
    try:
        fresh.unlink(missing_ok=True)
        file = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            os.write(file, secret.encode())
        finally:
            os.close(file)
        fresh.replace(path)
    except OSError as error:
        raise SettingsInvalid(f"{path} cannot be written: {error.strerror}") from error
    try:
        yield secret
    finally:
        with contextlib.suppress(OSError):  # it opens nothing any more, wherever it lies
            path.unlink()


def read_local_token(folder: Path) -> str | None:
    """The secret of the daemon that works on a folder; None where it cannot be read."""
    try:
        return (folder / FILE_NAME).read_text(encoding="ascii").strip() or None
    except (OSError, UnicodeDecodeError):
        return None
