"""Random material in the shapes of secrets, the same in every run, none of it alive.

Prefixes are joined here and nowhere written beside their token, so that no scanner of a code host
takes this file for a leak.
"""

from __future__ import annotations

import base64
import json
import random
import string

LETTERS = string.ascii_letters
DIGITS = string.digits
ALNUM = LETTERS + DIGITS
UPPER = string.ascii_uppercase + DIGITS
HEX = "0123456789abcdef"
URLSAFE = ALNUM + "-_"
BASE64 = ALNUM + "+/"


class MadeUp:
    """A stream of random material from one seed."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)

    def of(self, alphabet: str, length: int) -> str:
        """`length` characters, a digit and letters of both cases among the first where they can
        be: short random material may otherwise read as a word."""
        text = "".join(self._random.choices(alphabet, k=length))
        mixed = "".join(self._random.choice(part) for part in _parts(alphabet))
        return (mixed + text)[:length]

    def token(self, prefix: str, length: int, alphabet: str = ALNUM) -> str:
        return prefix + self.of(alphabet, length)

    def password(self, length: int = 14) -> str:
        return self.of(LETTERS, 5) + self.of(DIGITS, 3) + self.of(ALNUM + "!%^*", length - 8)

    def jwt(self, claims: int = 40) -> str:
        header = _segment({"alg": "HS" + "256"})
        payload = _segment({"sub": self.of(ALNUM, claims)})
        return f"{header}.{payload}.{self.of(URLSAFE, 43)}"

    def key_lines(self, lines: int = 6) -> list[str]:
        full = (self.of(BASE64, 64) for _ in range(lines - 2))
        return ["MII" + self.of(BASE64, 61), *full, self.of(BASE64, 38) + "=="]

    def pem(self, kind: str = "RSA ", end: str = "\n", lead: str = "") -> str:
        edge = "-" * 5
        lines = [f"{edge}BEGIN {kind}PRIVATE KEY{edge}", *self.key_lines()]
        lines.append(f"{edge}END {kind}PRIVATE KEY{edge}")
        return end.join(lead + line for line in lines)


def _parts(alphabet: str) -> list[str]:
    groups = (DIGITS, string.ascii_lowercase, string.ascii_uppercase)
    return [
        "".join(s for s in group if s in alphabet) for group in groups if set(group) & set(alphabet)
    ]


def _segment(value: dict[str, str]) -> str:
    data = json.dumps(value, separators=(",", ":")).encode()
    return base64.urlsafe_b64encode(data).decode().rstrip("=")
