"""The version of the rules follows the code that they are."""

from __future__ import annotations

import hashlib
from pathlib import Path

from recall_uploader import redact
from recall_uploader.redact.rules import RULES_VERSION

_PINNED = (1, "57905a43ba201052")


def test_who_changes_a_rule_raises_the_version_of_the_rules() -> None:
    digest = hashlib.sha256()
    for path in sorted(Path(redact.__file__).parent.glob("*.py")):
        digest.update(path.name.encode() + path.read_bytes())
    assert (RULES_VERSION, digest.hexdigest()[:16]) == _PINNED, (
        "the redaction's code has changed: raise RULES_VERSION if it finds or replaces anything"
        " else than before, and pin the new digest here"
    )
