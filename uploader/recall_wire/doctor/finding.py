"""What a check of either doctor says: one sentence, how bad it is, and what to do about it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from typing import Literal

from recall_wire.errors import RecallError, TransientError

_PASSES = "see to the network, then look again"
_LOOK = "see what it names, then look again"

_MARKS = {"ok": "ok", "note": "note", "warning": "WARNING", "problem": "PROBLEM"}

Level = Literal["ok", "note", "warning", "problem"]


@dataclass(frozen=True, slots=True)
class Finding:
    """`check` is stable, for scripts. Only a `problem` keeps the program from its work; a `note`
    needs nobody to do anything."""

    check: str
    level: Level
    says: str
    remedy: str = ""

    def as_dict(self) -> dict[str, str]:
        return asdict(self)


def ok(check: str, says: str) -> Finding:
    return Finding(check, "ok", says)


def note(check: str, says: str, remedy: str = "") -> Finding:
    return Finding(check, "note", says, remedy)


def warning(check: str, says: str, remedy: str = "") -> Finding:
    return Finding(check, "warning", says, remedy)


def problem(check: str, says: str, remedy: str = "") -> Finding:
    return Finding(check, "problem", says, remedy)


def failed(check: str, error: RecallError, level: Level = "problem") -> Finding:
    """An error's own sentence and hint; what passes by itself often comes without one."""
    passes = isinstance(error, TransientError)
    return Finding(check, level, error.message, error.hint or (_PASSES if passes else _LOOK))


def healthy(found: Iterable[Finding]) -> bool:
    return not any(item.level == "problem" for item in found)


def as_facts(found: Iterable[Finding]) -> Iterator[tuple[str, str]]:
    """Each check with what it says, and below it the remedy; for `facts.print_facts`."""
    for item in found:
        yield item.check, f"{_MARKS[item.level]}: {item.says}"
        if item.remedy:
            yield "", f"→ {item.remedy}"
