"""Secrets are replaced before a byte leaves the machine, in the order the data passes.

`settings` a rule from the settings file · `rule` what a rule is · `tokens`, `blocks`, `headers`,
`addresses`, `commands`, `assignments` our own rules, by where a secret stands (`names` which names
promise one, `placeholders` which values are none) · `rules` all of them, in order of precedence ·
`glance` passes over the texts that hold none of their words · `redactor` text, values and
identities · `record` a memory without its secrets · `discreet` errors that quote none · `raw` a
whole DuckDB file without them (`raw_types` its columns).
"""

from recall_uploader.redact.record import RedactedRecord
from recall_uploader.redact.redactor import Redactor
from recall_uploader.redact.settings import RedactRule

__all__ = ["RedactRule", "RedactedRecord", "Redactor"]
