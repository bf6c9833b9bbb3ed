"""A disk that takes no more, or fails at any step: searches go on, nothing is lost or doubled."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # full_index_child, index_life

import full_index_child
from index_life import Life

from recall_daemon.index.follower import IndexFailed

SOAK = "RECALLD_TEST_SOAK" in os.environ
# Of the steps; the one error comes at others than the other.
EVERY = 1 if SOAK else 3


@pytest.mark.parametrize("file_bytes", [0, 90, 400, 900, 1_500, 2_500] if SOAK else [0, 400, 2_500])
def test_files_that_cannot_grow(tmp_path, file_bytes):
    """A real limit of the kernel: FAISS, numpy and tantivy meet it in their own ways."""
    child = [sys.executable, full_index_child.__file__, str(tmp_path / "index"), str(file_bytes)]
    done = subprocess.run(child, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    said = json.loads(done.stdout.splitlines()[-1])
    assert len(said) == 6
    assert said.count("applied") < 6


class Failing:
    """`os.fsync` that fails at its Nth call."""

    def __init__(self, at, number):
        self.at, self.number, self.calls = at, number, 0
        self.real = os.fsync

    def __call__(self, handle):
        self.calls += 1
        if self.calls == self.at:
            raise OSError(self.number, os.strerror(self.number))
        self.real(handle)


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO])
def test_a_disk_that_fails_at_any_step(new_store, tmp_path, small_segments, monkeypatch, number):
    monkeypatch.setattr("recall_daemon.index.spaces.SEAL_AGAIN_S", 0.0)
    at, failed, fsync = number % EVERY + 1 - EVERY, 0, None
    while fsync is None or fsync.calls >= at:
        at += EVERY
        life = Life(new_store(page_rows=40), tmp_path / str(at), 5)
        fsync = Failing(at, number)
        monkeypatch.setattr("os.fsync", fsync)
        for _ in range(90):
            life.put()
            life.embed()
        life._drop_vectors()
        for work in (life.index.apply, life.index.apply, life.index.rebuild):
            try:
                work(life.store)
            except IndexFailed:
                failed += 1
                work(life.store)
        # A segment whose making failed is made again.
        life.index.apply(life.store)
        life.seal()
        life.check()
        documents = [row_id for piece in life.index.view().words.row_ids() for row_id in piece]
        assert documents == sorted(life.store.live_rows)
        life.close()
        monkeypatch.setattr("os.fsync", fsync.real)
        life.index = type(life.index)(4, life.folder)
        life.check()
        life.index.close()
    assert failed > 5 // EVERY
    assert at > 15
