"""The process dies between any two steps; the next run must end in the same place."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from recall_uploader import durable
from recall_uploader.extract import Request
from recall_uploader.forget import forget
from recall_uploader.outbox import Outbox
from recall_uploader.state import State
from recall_uploader.upload import upload

# Of the steps; it dies after others than it dies before.
EVERY = 1 if "RECALLD_TEST_SOAK" in os.environ else 2
_STEPS = [
    (durable, "write_file"),
    (durable, "sync_folder"),
    (durable, "move_folder"),
    (Outbox, "tidy"),
    (State, "create"),
    (State, "learn"),
    (State, "learn_forgotten"),
    (State, "complete"),
    (State, "commit"),
    (State, "close"),
]


class Killed(BaseException):
    """No handler of the program's own catches it."""


class Steps:
    """Counts the program's steps and dies before, or after, the n-th."""

    def __init__(self, patch: pytest.MonkeyPatch, bucket: Any) -> None:
        self.count = 0
        self.die_at = 0
        self.after = False
        self.last = ""
        for owner, name in _STEPS:
            patch.setattr(owner, name, self._wrapped(getattr(owner, name), name))
        for name in ("put", "get", "head", "create_multipart"):
            patch.setattr(type(bucket), name, self._wrapped(getattr(type(bucket), name), name))

    def _wrapped(self, step: Callable[..., Any], name: str) -> Callable[..., Any]:
        def run(*arguments: Any, **options: Any) -> Any:
            self.count += 1
            mine = self.count
            if mine == self.die_at and not self.after:
                self.last = f"before {name}"
                raise Killed(name)
            try:
                return step(*arguments, **options)
            finally:
                if mine == self.die_at and self.after:
                    self.last = f"after {name}"
                    raise Killed(name)

        return run


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_the_process_may_die_at_every_step(
    after: bool, instance_of: Any, notes: Path, bucket: Any, view: Any
) -> None:
    def session(state: str) -> None:
        instance = instance_of(state=state, snapshot_max_rows=6)
        upload(instance, Request(notes))
        forget(instance, ["n2"])

    with pytest.MonkeyPatch.context() as patch:
        steps = Steps(patch, bucket)
        session("calm")
        total, expected = steps.count, view.said()
        assert [said[:2] for said in expected[-2:]] == [("upsert", "n9"), ("forget", "n2")]

        for number in range(1 + after % EVERY, total + 1, EVERY):
            _empty(bucket)
            steps.count, steps.die_at, steps.after = 0, number, after
            with pytest.raises(Killed):
                session("state")
            steps.die_at = 0
            session("state")

            assert view.said() == expected, steps.last
            assert view.seqs() == [1, 2, 3], steps.last
            assert view.head_seq() == 3, steps.last
            folder = instance_of().folder
            assert _waiting(folder) == [], steps.last
            assert upload(instance_of(), Request(notes)).status == "unchanged"
            shutil.rmtree(folder)


def _empty(bucket: Any) -> None:
    for page in list(bucket.list("")):
        for item in page.objects:
            bucket.delete(item.key)


def _waiting(folder: Path) -> list[Path]:
    names = ("new", "sending", "failed")
    return [path for name in names for path in (folder / "outbox" / name).iterdir()]
