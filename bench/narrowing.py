"""Filters of known selectivity: the fields of a corpus's rows, and what a question narrows to.

Each question narrows to a value of its own (its number modulo the field's), so that nothing is
gained by keeping the rows that one filter lets through.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from recall_daemon.index.filters import Filters

Codes = npt.NDArray[np.int64]

PROJECTS, TOPICS = 20, 1_000
KINDS = ("conversation", "reflection", "insight", "note")
KIND_SHARES = (0.5, 0.2, 0.2, 0.1)

# The share of the rows that each lets through.
SHARES = {"all": 1.0, "half": 0.5, "twentieth": 0.05, "thousandth": 0.001}


@dataclass(frozen=True)
class Fields:
    """The filterable fields of consecutive rows, as codes."""

    kind: Codes
    project: Codes
    topic: Codes

    def kept(self, narrowing: str, question: int) -> npt.NDArray[np.bool_]:
        """Which rows the question's filter of that name lets through."""
        mask = np.ones(len(self.kind), dtype=np.bool_)
        for column, code in wanted(narrowing, question).items():
            mask &= getattr(self, column) == code
        return mask


def wanted(narrowing: str, question: int) -> dict[str, int]:
    """The column that a filter narrows, and the code it allows."""
    return {
        "all": {},
        "half": {"kind": 0},
        "twentieth": {"project": question % PROJECTS},
        "thousandth": {"topic": question % TOPICS},
    }[narrowing]


def name_of(column: str, code: int) -> str:
    """What a code stands for in the rows."""
    return KINDS[code] if column == "kind" else f"{column}-{code}"


def named(narrowing: str, question: int) -> tuple[str, str] | None:
    """Column and value of the question's filter; None where it lets everything through."""
    pairs = [(c, name_of(c, code)) for c, code in wanted(narrowing, question).items()]
    return pairs[0] if pairs else None


def filters(narrowing: str, question: int) -> Filters:
    """The same as the hub takes it: a topic is a tag there."""
    chosen = named(narrowing, question)
    if chosen is None:
        return Filters()
    column, value = chosen
    return {
        "kind": Filters(kinds=(value,)),
        "project": Filters(projects=(value,)),
        "topic": Filters(tags=(value,)),
    }[column]
