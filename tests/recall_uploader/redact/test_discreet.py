"""Sentences about a source quote none of its secrets."""

from __future__ import annotations

import pytest
from made_up import MadeUp

from recall_uploader.redact.discreet import discreet
from recall_uploader.redact.redactor import Redactor
from recall_wire.errors import SourceBusy

TOKEN = MadeUp(7).token("gh" + "p_", 36)


def test_the_same_error_passes_without_what_it_quoted() -> None:
    redactor = Redactor()
    raised = SourceBusy(f"row {TOKEN!r} is locked", hint=f"unlock {TOKEN}")
    with pytest.raises(SourceBusy) as caught, discreet(redactor):
        raise raised
    assert caught.value is raised
    assert str(raised) == "row '[redacted:github-token]' is locked; unlock [redacted:github-token]"
    assert TOKEN not in repr(raised)
    assert redactor.counts == {}


def test_without_redaction_it_stays_as_it_is() -> None:
    with pytest.raises(SourceBusy, match=TOKEN), discreet(None):
        raise SourceBusy(TOKEN)


def test_other_errors_pass() -> None:
    with pytest.raises(KeyError, match="k"), discreet(Redactor()):
        raise KeyError("k")
