"""Each larger benchmark runs from its command line to its JSON, with few rows."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import forked
import pytest

BENCH = Path(__file__).parents[2] / "bench"
ROWS = 1_000


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The documentation is read once for all of them."""
    return tmp_path_factory.mktemp("corpus")


def run(name: str, cache: Path, *options: str) -> dict[str, Any]:
    path = cache / f"{name}.json"
    command = [BENCH / name, "--cache", cache, "--json", path]
    corpus = ["--embedder", "hash", "--texts", "200"]
    process = forked.start([*command, *corpus, *options])
    out, err = process.communicate()
    assert process.returncode == 0, err[-4_000:]
    assert json.loads(out) == json.loads(path.read_text())
    return dict(json.loads(out))


def test_corpus(cache: Path) -> None:
    found = run("corpus.py", cache, "--rows", str(ROWS))
    assert found["real_texts"] + found["mixtures_of_real_texts"] == ROWS
    assert found["vector_bytes"] == ROWS * 384 * 4
    assert "no folder of questions given" in found["questions_from"]


def test_search_finds_what_an_exact_scan_finds(cache: Path) -> None:
    found = run("search.py", cache, "--smoke", "--side", "recalld", "--side", "duckdb")
    (size,) = found["sizes"]
    assert set(size["searches"]) == {"recalld_hybrid", "recalld_meaning", "duckdb_scan"}
    for search, states in size["searches"].items():
        for state, cells in states.items():
            for narrowing, cell in cells.items():
                floor = 1.0 if search == "duckdb_scan" else 0.98
                assert cell["recall_at_10"] >= floor, (search, state, narrowing)
                assert cell["p99_ms"] >= cell["p50_ms"] > 0
    assert size["sides"]["recalld"]["rows_ingested"] > 0


def test_ageing_moves_every_row_and_its_text_comes_back(cache: Path) -> None:
    found = run("ageing.py", cache, "--rows", str(ROWS))
    assert found["rows_by_tier"] == {"hot": 0, "warm": 0, "cold": ROWS}
    assert found["hot_to_warm"]["rows"] == found["warm_to_cold"]["rows"] == ROWS
    cold = found["cold_search"]
    assert cold["hits"] == cold["hits_that_are_cold"] > 0
    assert cold["hits_without_text"] == 0


def test_store_shares_commits_and_checkpoints_beside_duckdbs_own(cache: Path) -> None:
    found = run("store.py", cache, "--rows", str(ROWS), "--seconds", "0.2", "--threads", "4")
    assert found["reads"]["p99_ms"] >= found["reads"]["p50_ms"] > 0
    assert all(found["commits"][way]["writes_per_s"] > 0 for way in ("shared", "one_each"))
    for side in ("recalld", "duckdb_automatic"):
        load = found["checkpoints"][side]
        assert load["ingested_rows_per_s"] > 0
        assert min(load[what]["longest_ms"] for what in ("read", "edit")) > 0


def test_restart_finds_what_came_in_before_the_kill(cache: Path) -> None:
    options = ("--rows", str(ROWS), "--behind", "100", "--rounds", "1")
    found = run("restart.py", cache, *options)
    assert found["median"]["last_row_found_s"] >= found["median"]["ready_s"] > 0


def test_store_bytes_of_each_tier(cache: Path) -> None:
    tiers = run("store_bytes.py", cache, "--rows", str(ROWS))["tiers"]
    assert {tier: held["rows_by_tier"] for tier, held in tiers.items()} == {
        tier: {tier: ROWS} for tier in ("hot", "warm", "cold")
    }
    assert (
        tiers["cold"]["cold_object_bytes_per_row"] > 0 == tiers["warm"]["cold_object_bytes_per_row"]
    )


def test_forgetting_is_purged_beside_the_searches(cache: Path) -> None:
    found = run("forgetting.py", cache, "--rows", str(ROWS))
    assert found["one_memory_by_id"]["p99_ms"] >= found["one_memory_by_id"]["p50_ms"] > 0
    assert found["a_system_rows"] + found["one_memory_by_id"]["forgets"] == ROWS
    assert found["purge_s"] > 0
    assert found["searches_during_the_purge"]["searches"] > 0


def test_serve_answers_searches_and_loses_no_post(cache: Path) -> None:
    small = ["--rows", "500", "--seconds", "0.1", "--idle", "50", "--kills", "1", "--ingest", "20"]
    found = run("serve.py", cache, *small)
    assert found["kills"] == {"rounds": 1, "acknowledged_and_lost": 0}
    for told in [*found["searches"].values(), *found["posts"].values()]:
        assert told["answered"] > 0
        assert "refused" not in told
    assert found["beside_unkind_clients"]["idle_connections"] == 50


def test_agents_reads_adds_and_updates(cache: Path) -> None:
    small = ["--rows", "300", "--shared", "20", "--reads", "20", "--seconds", "0.1"]
    found = run("agents.py", cache, *small)
    assert found["read"]["with_version"]["p50_ms"] > 0
    for told in found["writes"].values():
        assert told["answered"] > 0
        assert "refused" not in told


def test_not_yours_is_asked_beside_not_there(cache: Path) -> None:
    found = run("not_yours.py", cache, "--rows", "400", "--requests", "10")
    assert set(found["routes"]) == {"get", "related"}
    for told in found["routes"].values():
        assert min(told["median_us"].values()) > 0
        assert set(told["beside_absent"]) == {"other_system", "other_project"}
