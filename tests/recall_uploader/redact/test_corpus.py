"""How many secrets are found, and how many look-alikes are left alone."""

from __future__ import annotations

import pytest
from held_out import held_out, held_out_lookalikes
from leak import Leak
from leaks import leaks
from lookalikes import lookalikes
from measure import hurt, is_left, missed, share

from recall_uploader.redact.redactor import Redactor

LEAKS = leaks()


@pytest.fixture(scope="module")
def redactor() -> Redactor:
    return Redactor()


def test_recall_and_precision(redactor: Redactor, capsys: pytest.CaptureFixture[str]) -> None:
    found, plain = LEAKS, lookalikes()
    assert len(found) >= 150
    assert len(plain) >= 150
    lost = missed(found, lambda text: redactor.text(text)[0])
    wrong = hurt(plain, lambda text: redactor.text(text)[0])
    with capsys.disabled():
        print(f"\n  recall {share(len(found), len(lost))} of {len(found)} secrets, ", end="")
        print(f"{share(len(plain), len(wrong))} of {len(plain)} look-alikes untouched")
    assert lost == []
    assert wrong == []


def test_recall_and_precision_on_what_was_written_after_the_rules(redactor: Redactor) -> None:
    assert missed(held_out(), lambda text: redactor.text(text)[0]) == []
    assert hurt(held_out_lookalikes(), lambda text: redactor.text(text)[0]) == []


@pytest.mark.parametrize("leak", LEAKS, ids=lambda leak: leak.name)
def test_what_stands_beside_a_secret_stays(leak: Leak, redactor: Redactor) -> None:
    clean, count = redactor.text(leak.text)
    assert count >= 1
    assert leak.kept in clean
    assert "[redacted:" in clean


@pytest.mark.parametrize("leak", LEAKS, ids=lambda leak: leak.name)
def test_a_redacted_text_is_redacted_to_itself(leak: Leak, redactor: Redactor) -> None:
    clean, _ = redactor.text(leak.text)
    assert redactor.text(clean) == (clean, 0)


@pytest.mark.parametrize("seed", range(5))
def test_other_random_material_is_found_as_well(seed: int, redactor: Redactor) -> None:
    """The rules know forms, not this corpus: fresh tokens and passwords in the same places."""
    found = [*leaks(1000 + seed), *held_out(1000 + seed)]
    assert missed(found, lambda text: redactor.text(text)[0]) == []


def test_the_measure_sees_a_part_that_is_left() -> None:
    assert is_left("abcdefghij", "xx cdefgh xx")
    assert not is_left("abcdefghij", "xx cdefg xx")
    assert not is_left("redacted-token", "[redacted:github-token]")
    assert is_left("abc", "an abc")
