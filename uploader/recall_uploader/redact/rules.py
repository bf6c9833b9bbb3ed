"""All rules of our own. Where two find the same characters, the first of them names the marker."""

from __future__ import annotations

from recall_uploader.redact.addresses import ADDRESS_RULES
from recall_uploader.redact.assignments import ASSIGNED_RULES
from recall_uploader.redact.blocks import BLOCK_RULES
from recall_uploader.redact.commands import COMMAND_RULES
from recall_uploader.redact.headers import HEADER_RULES
from recall_uploader.redact.rule import Rule
from recall_uploader.redact.tokens import TOKEN_RULES

# Raised when a rule, or what is made of its finds, changes: a database that was sent whole under
# the former rules is then sent once more.
RULES_VERSION = 1
RULES: tuple[Rule, ...] = (
    *BLOCK_RULES,
    *TOKEN_RULES,
    *ADDRESS_RULES,
    *HEADER_RULES,
    *COMMAND_RULES,
    *ASSIGNED_RULES,
)
