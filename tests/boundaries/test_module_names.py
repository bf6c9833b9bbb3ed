"""Modules that are imported by their bare name: no two may have the same one.

Benchmarks and helpers of tests lie outside the packages, and their folders go on `sys.path`. Of two
modules with one name a test process has whichever came first, and the linter sorts imports by it.
"""

from __future__ import annotations

import sys
from collections import Counter
from importlib.metadata import packages_distributions
from pathlib import Path

ROOT = Path(__file__).parents[2]
FOLDERS = ("bench", "tests", "demo")


def bare_names() -> list[str]:
    files = [path for folder in FOLDERS for path in (ROOT / folder).rglob("*.py")]
    return [
        path.stem
        for path in files
        if not path.name.startswith("test_") and path.stem not in ("conftest", "__main__")
    ]


def test_no_two_modules_outside_the_packages_have_one_name() -> None:
    assert [name for name, count in Counter(bare_names()).items() if count > 1] == []


def test_none_has_the_name_of_a_library() -> None:
    libraries = set(packages_distributions()) | set(sys.stdlib_module_names)
    assert {name for name in bare_names() if name in libraries} == set()
