"""Bounded, jittered, and only where trying again can help."""

from __future__ import annotations

import pytest

from recall_uploader.retry import Retry
from recall_wire.errors import BucketRefused, BucketThrottled, BucketUnreachable, RecallError


class Call:
    def __init__(self, *errors: RecallError) -> None:
        self.errors = list(errors)
        self.made = 0

    def __call__(self) -> str:
        self.made += 1
        if self.errors:
            raise self.errors.pop(0)
        return "done"


def test_waits_grow_to_the_cap_and_then_the_error_comes_out() -> None:
    waits: list[float] = []
    retry = Retry(retries=4, base_s=1, cap_s=5, sleep=waits.append, uniform=lambda _, high: high)
    call = Call(*[BucketUnreachable("no")] * 9)

    with pytest.raises(BucketUnreachable):
        retry(call)
    assert waits == [1, 2, 4, 5]
    assert call.made == 5


def test_the_endpoints_own_wish_is_kept_within_the_cap() -> None:
    waits: list[float] = []
    retry = Retry(base_s=1, cap_s=5, sleep=waits.append, uniform=lambda low, _: low)
    call = Call(BucketThrottled("slow", retry_after_s=3), BucketThrottled("s", retry_after_s=900))

    assert retry(call) == "done"
    assert waits == [3, 5]


def test_a_refusal_is_not_tried_again() -> None:
    call = Call(BucketRefused("no permission"))
    with pytest.raises(BucketRefused):
        Retry(sleep=lambda _: pytest.fail("waited"))(call)
    assert call.made == 1
