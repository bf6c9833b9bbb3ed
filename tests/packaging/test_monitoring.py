"""The alert rules load in Prometheus and fire when they should; dashboard and rules name only
metrics that the hub has, with labels that these have."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import promql_parser as promql
import pytest
import yaml

from recall_daemon import metrics

FOLDER = Path(__file__).parents[2] / "docs" / "monitoring"
RULES, TESTS = FOLDER / "recalld.rules.yml", FOLDER / "recalld.test.yml"
SOAK = "RECALLD_TEST_SOAK" in os.environ
# What Prometheus adds, and what the dashboard fills in.
EVERYWHERE = {"instance", "job"}
_VARIABLES = {"$__rate_interval": "5m", "$instance": ".*"}


def rules() -> list[dict[str, Any]]:
    groups = yaml.safe_load(RULES.read_text())["groups"]
    return [rule for group in groups for rule in group["rules"]]


def panels() -> list[dict[str, Any]]:
    return [
        panel
        for panel in json.loads((FOLDER / "grafana.json").read_text())["panels"]
        if panel["type"] != "row"
    ]


def queries() -> Iterator[tuple[str, str]]:
    """(where, query) of everything that asks Prometheus."""
    for rule in rules():
        yield rule.get("alert") or rule["record"], rule["expr"]
    for panel in panels():
        for target in panel["targets"]:
            query = target["expr"]
            for name, value in _VARIABLES.items():
                query = query.replace(name, value)
            yield panel["title"], query


def series() -> dict[str, set[str]]:
    """The labels of each series that a hub, or a recording rule, has."""
    found = {rule["record"]: EVERYWHERE | {"le"} for rule in rules() if "record" in rule}
    found["up"] = EVERYWHERE
    for collector, names in metrics.REGISTRY._collector_to_names.items():
        labels = {*getattr(collector, "_labelnames", ()), *EVERYWHERE}
        for name in names:
            found[name] = labels | ({"le"} if name.endswith("_bucket") else set())
    for name in ("process_resident_memory_bytes", "process_cpu_seconds_total"):
        found[name] = EVERYWHERE
    return found


@pytest.mark.parametrize(("where", "query"), list(queries()))
def test_a_query_asks_for_what_there_is(where: str, query: str) -> None:
    promql.parse(query)
    known = series()
    # The parser proves the form; the names are those before a selector, a range or an operator.
    without_strings = re.sub(r'"[^"]*"', '""', query)
    selectors = re.findall(r"([a-zA-Z_:][a-zA-Z0-9_:]*)\s*\{([^}]*)\}", without_strings)
    bare = set(re.findall(r"\b(?:recalld|memory|faiss|process)[a-z0-9_:]+|\bup\b", without_strings))
    assert bare, f"{where} asks for nothing"
    assert bare <= known.keys(), f"{where}: {bare - known.keys()}"
    for name, matchers in selectors:
        labels = set(re.findall(r"([a-z_]+)\s*(?:=~|!~|!=|=)", matchers))
        assert labels <= known[name], f"{where}: {name} has no {labels - known[name]}"
    grouped = re.findall(r"\bby \(([^)]*)\)", query)
    used = {label.strip() for group in grouped for label in group.split(",")}
    allowed = set().union(*(known[name] for name in bare))
    assert used <= allowed, f"{where}: no {used - allowed}"


def test_every_metric_is_on_the_dashboard_or_in_a_rule() -> None:
    asked = " ".join(query for _, query in queries())
    names = {
        family.name
        for family in metrics.REGISTRY.collect()
        if not family.name.startswith("process")
    }
    assert {name for name in names if name not in asked} == set()


def test_the_dashboard_is_whole() -> None:
    """One number and one place a panel, on data sources that are chosen when it is loaded."""
    found = panels()
    assert len({panel["id"] for panel in found}) == len(found) >= 20
    places = set()
    for panel in found:
        at = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(at["x"], at["x"] + at["w"])
            for y in range(at["y"], at["y"] + at["h"])
        }
        assert at["x"] + at["w"] <= 24
        assert not cells & places, panel["title"]
        places |= cells
        assert panel["datasource"] == {"type": "prometheus", "uid": "${datasource}"}


def test_every_alert_is_tested_to_fire() -> None:
    alerts = {rule["alert"] for rule in rules() if "alert" in rule}
    fired = {
        case["alertname"]
        for test in yaml.safe_load(TESTS.read_text())["tests"]
        for case in test.get("alert_rule_test", [])
        if case.get("exp_alerts")
    }
    assert fired == alerts


@pytest.fixture(scope="session")
def promtool(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path | None]:
    """The machine's own, or Debian's, unpacked beside the tests: neither takes root. None where
    there is neither; `make soak` must have one."""
    own = shutil.which("promtool")
    if own:
        yield Path(own)
        return
    folder = tmp_path_factory.mktemp("prometheus")
    if shutil.which("apt-get") and shutil.which("dpkg-deb"):
        fetch = ["apt-get", "download", "prometheus"]
        fetched = subprocess.run(
            fetch, check=False, cwd=folder, capture_output=True, text=True, timeout=120
        )
        for package in folder.glob("*.deb"):
            subprocess.run(["dpkg-deb", "-x", package, folder], check=True, timeout=120)
            yield folder / "usr" / "bin" / "promtool"
            shutil.rmtree(folder)  # 110 MB
            return
        why = fetched.stderr.strip()
    else:
        why = "this is no Debian"
    assert not SOAK, f"there is no promtool: {why}"
    yield None


def test_the_rules_load_in_prometheus_and_fire(promtool: Path | None, tmp_path: Path) -> None:
    if promtool is None:  # what can be known without it
        for rule in rules():
            promql.parse(rule["expr"])
        return
    for path in (RULES, TESTS):
        shutil.copy(path, tmp_path)

    def run(*command: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [promtool, *command],
            check=False,
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=60,
        )

    checked = run("check", "rules", RULES.name)
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert f"{len(rules())} rules found" in checked.stdout
    tested = run("test", "rules", TESTS.name)
    assert tested.returncode == 0, tested.stdout + tested.stderr
    broken = RULES.read_text().replace("recalld_systems_in_conflict > 0", "vector(0) > 0")
    (tmp_path / RULES.name).write_text(broken)
    assert run("test", "rules", TESTS.name).returncode == 1
