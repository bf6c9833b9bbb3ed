"""Who may import whom, read from the source of every module."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = {
    "recall_wire": ROOT / "uploader" / "recall_wire",
    "recall_uploader": ROOT / "uploader" / "recall_uploader",
    "recall_client": ROOT / "uploader" / "recall_client",
    "recall_daemon": ROOT / "daemon" / "recall_daemon",
}
MAY_IMPORT = {
    "recall_wire": set[str](),
    "recall_uploader": {"recall_wire"},
    "recall_client": set[str](),
    "recall_daemon": {"recall_wire"},
}
# An instance has none of these installed; the hub loads them where they are used.
HUB_ONLY = {
    "aioboto3",
    "fastapi",
    "faiss",
    "onnxruntime",
    "sentence_transformers",
    "tantivy",
    "torch",
    "transformers",
    "uvicorn",
}
ASYNC_S3 = PACKAGES["recall_wire"] / "buckets" / "s3_async.py"
OUTSIDE_THE_PACKAGES = {"bench", "tests"}


def modules(package: str) -> list[Path]:
    return sorted(PACKAGES[package].rglob("*.py"))


def imports(tree: ast.AST, *, package: str) -> Iterator[tuple[int, str]]:
    """Every import as line and dotted name; relative ones belong to `package`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.lineno, package if node.level else node.module or ""
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith("import_module"):
            for argument in node.args[:1]:
                if isinstance(argument, ast.Constant):
                    yield node.lineno, str(argument.value)


def at_import_time(tree: ast.Module, *, package: str) -> Iterator[tuple[int, str]]:
    """The imports that run when the module is imported: not those inside a function."""
    for statement in tree.body:
        yield from _outside_functions(statement, package)


def _outside_functions(node: ast.AST, package: str) -> Iterator[tuple[int, str]]:
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
        return
    if isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING"):
        return
    if isinstance(node, ast.Import | ast.ImportFrom):
        yield from imports(node, package=package)
    for child in ast.iter_child_nodes(node):
        yield from _outside_functions(child, package)


def crossings(package: str, source: str) -> list[str]:
    forbidden = (set(PACKAGES) | OUTSIDE_THE_PACKAGES) - MAY_IMPORT[package] - {package}
    found = imports(ast.parse(source), package=package)
    return [f"{line}: {name}" for line, name in found if name.partition(".")[0] in forbidden]


def hub_only_at_import_time(package: str, source: str) -> list[str]:
    found = at_import_time(ast.parse(source), package=package)
    return [f"{line}: {name}" for line, name in found if name.partition(".")[0] in HUB_ONLY]


@pytest.mark.parametrize("package", PACKAGES)
def test_no_module_crosses_a_boundary(package: str) -> None:
    found = {
        str(path.relative_to(ROOT)): wrong
        for path in modules(package)
        if (wrong := crossings(package, path.read_text(encoding="utf-8")))
    }
    assert found == {}


@pytest.mark.parametrize("package", ["recall_wire", "recall_uploader", "recall_client"])
def test_an_instance_never_needs_the_hubs_libraries(package: str) -> None:
    found = {
        str(path.relative_to(ROOT)): wrong
        for path in modules(package)
        if path != ASYNC_S3
        and (wrong := hub_only_at_import_time(package, path.read_text(encoding="utf-8")))
    }
    assert found == {}


def test_only_the_factory_imports_the_async_bucket_and_only_when_called() -> None:
    importers = [
        path
        for package in ("recall_wire", "recall_uploader")
        for path in modules(package)
        if any(
            name == "recall_wire.buckets.s3_async"
            for _, name in imports(ast.parse(path.read_text(encoding="utf-8")), package=package)
        )
    ]
    factory = PACKAGES["recall_wire"] / "buckets" / "__init__.py"
    assert importers == [factory]
    loaded = at_import_time(ast.parse(factory.read_text()), package="recall_wire")
    assert "recall_wire.buckets.s3_async" not in [name for _, name in loaded]


@pytest.mark.parametrize("folder", ["daemon", "uploader"])
def test_the_outer_folders_are_no_packages(folder: str) -> None:
    """A bare `daemon` would collide with python-daemon."""
    assert (ROOT / folder).is_dir()
    assert not (ROOT / folder / "__init__.py").exists()


def test_every_package_is_read() -> None:
    assert all(len(modules(package)) > 1 for package in PACKAGES)


# The checks themselves


@pytest.mark.parametrize(
    ("package", "source"),
    [
        ("recall_wire", "import recall_uploader.cli"),
        ("recall_wire", "from recall_daemon import app"),
        ("recall_uploader", "def late():\n    from recall_daemon.store import db"),
        ("recall_uploader", "import recall_daemon as hub"),
        ("recall_daemon", "from recall_uploader.sources import duckdb"),
        ("recall_daemon", "import importlib\nimportlib.import_module('recall_uploader.cli')"),
        ("recall_daemon", "from tests.e2e import fleet"),
    ],
)
def test_a_crossing_is_seen(package: str, source: str) -> None:
    assert len(crossings(package, source)) == 1


@pytest.mark.parametrize(
    ("source", "seen"),
    [
        ("import torch", True),
        ("from aioboto3 import Session", True),
        ("try:\n    import faiss\nexcept ImportError:\n    pass", True),
        ("class A:\n    import fastapi", True),
        ("def late():\n    import torch", False),
        ("if TYPE_CHECKING:\n    import torch", False),
        ("import torchless", False),
    ],
)
def test_a_library_of_the_hub_is_seen(source: str, seen: bool) -> None:
    assert bool(hub_only_at_import_time("recall_wire", source)) is seen
