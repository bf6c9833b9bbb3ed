"""Which keys are safe: none can leave its prefix, on any backend."""

from __future__ import annotations

import unicodedata

from recall_wire.errors import UnsafeKey

KEY_MAX_BYTES = 1024


def check_key(key: str) -> str:
    """Return `key` unchanged. Raises `UnsafeKey` for an empty, `.` or `..` segment (so also for a
    leading or trailing slash), a backslash, a control character, or more than 1,024 bytes.
    """
    check_characters(key)
    if any(segment in ("", ".", "..") for segment in key.split("/")):
        raise UnsafeKey(f"the key {_shown(key)} has an empty, '.' or '..' segment")
    return key


def check_prefix(prefix: str) -> str:
    """The same for a listing's prefix, whose last segment may be empty or cut short."""
    check_characters(prefix)
    folder, slash, _ = prefix.rpartition("/")
    if slash:
        check_key(folder)
    return prefix


def check_characters(key: str) -> None:
    if any(character == "\\" or unicodedata.category(character) == "Cc" for character in key):
        raise UnsafeKey(f"the key {_shown(key)} holds a backslash or a control character")
    try:
        size = len(key.encode())
    except UnicodeEncodeError as error:
        raise UnsafeKey(f"the key {_shown(key)} is not valid Unicode") from error
    if size > KEY_MAX_BYTES:
        raise UnsafeKey(f"the key {_shown(key)} is {size} bytes long, more than {KEY_MAX_BYTES}")


def _shown(key: str) -> str:
    return ascii(key[:120])
