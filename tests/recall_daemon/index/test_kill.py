"""kill -9 of a process that merges, follows, seals, rebuilds and changes its space all at once."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))  # index_child

import forked
import index_child
from index_child import DIM, Hub

from recall_daemon.store import audit
from recall_daemon.store.store import Store
from recall_daemon.verify import index_problems

SOAK = "RECALLD_TEST_SOAK" in os.environ
KILLS = 100 if SOAK else 10


@pytest.mark.timeout(3600 if SOAK else 600)
def test_killed_at_any_instant_the_index_is_the_store(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seed = random.SystemRandom().randrange(10**6)
    chance = random.Random(seed)
    monkeypatch.setattr("recall_daemon.index.vectors.TAIL_MIN", 24)
    monkeypatch.setattr("recall_daemon.index.codes.EXACT_MAX", 2)
    data_dir, expected = tmp_path / "hub", Expected(tmp_path / "calm")
    lives = 0
    # On a busy machine a life may end before it has done anything.
    while lives < KILLS or (expected.rounds <= 3 and lives < 10 * KILLS):
        lives += 1
        kill_after(data_dir, chance.uniform(0.0, 0.8))
        hub = Hub(data_dir)
        check(hub, expected, seed)
        hub.index.close()
        hub.store.close()
    expected.store.close()
    assert expected.rounds > 3, f"only {expected.rounds} rounds in {lives} lives"


def kill_after(data_dir: Path, seconds: float) -> None:
    """Let a process work for some time, from the moment its index serves."""
    with forked.start_talking([index_child.__file__, data_dir]) as process:
        assert process.stdout.readline() == "begun\n"
        try:
            process.wait(timeout=seconds)
            raise AssertionError("the process ended by itself")
        except subprocess.TimeoutExpired:
            process.kill()


class Expected:
    """The same rounds, undisturbed and without an index."""

    def __init__(self, folder: Path) -> None:
        self.store = Store(folder)
        self.rounds = 0

    def upto(self, round_: int) -> str:
        for number in range(self.rounds + 1, round_ + 1):
            self.store.write(partial(index_child.merge, round_=number))
        self.rounds = round_
        with self.store.read() as connection:
            return audit.logical_hash(connection)


def check(hub: Hub, expected: Expected, seed: int) -> None:
    hub.index.apply(hub.feed)
    round_ = index_child.next_round(hub.store) - 1
    with hub.store.read() as connection:
        assert audit.problems(connection) == [], seed
        assert audit.logical_hash(connection) == expected.upto(round_), seed
        rows = connection.execute("SELECT row_id, state, text, text_hash FROM memories").fetchall()
        passages = connection.execute(
            "SELECT text_hash, vector FROM passages WHERE space_id = ?", [hub.space_id]
        ).fetchall()
    assert index_problems(hub.store, hub.index, hub.feed, 1_000) == [], seed
    answers_equal_brute_force(hub, rows, passages, seed)
    gone_rows_are_not_found(hub, {row[0] for row in rows if row[1] == "live"}, round_, seed)


def answers_equal_brute_force(hub: Hub, rows: Any, passages: Any, seed: int) -> None:
    vectors: dict[str, list[Any]] = {}
    for text_hash, vector in passages:
        vectors.setdefault(text_hash, []).append(vector)
    for query in np.random.default_rng(seed).integers(-9, 9, (3, DIM)):
        scores = {
            row_id: max(float(np.dot(vector, query)) for vector in vectors[text_hash])
            for row_id, state, _, text_hash in rows
            if state == "live" and text_hash in vectors
        }
        found = dict(hub.index.search_vectors(query, k=10))
        best = sorted(scores.values(), reverse=True)[:10]
        assert sorted(found.values(), reverse=True) == best, seed
        assert found.items() <= scores.items(), seed
    shared = {row_id for row_id, state, text, _ in rows if state == "live" and "shared" in text}
    assert {hit.row_id for hit in hub.index.search_words("shared", k=1_000)} == shared, seed


def gone_rows_are_not_found(hub: Hub, live: set[int], round_: int, seed: int) -> None:
    """Words that only one version of one row ever had."""
    for number in range(max(round_ - 8, 1), round_ + 1):
        for record in index_child.records_of(number):
            if record.text and "once" in record.text:
                word = record.text.split()[0]
                found = {hit.row_id for hit in hub.index.search_words(word, k=9)}
                told = hub.feed.rows(sorted(found))
                assert found <= live, seed
                assert all(row.text == record.text for row in told.values()), (seed, word)
