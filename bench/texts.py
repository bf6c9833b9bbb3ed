"""Real texts for benchmarks and tests: paragraphs from the docstrings of installed packages.

Nothing is downloaded and nothing is made up. The same seed gives the same texts wherever the same
packages are installed. About 45 tokens a text on average, as memories are.
"""

from __future__ import annotations

import ast
import os
import random
import re
import sysconfig
import warnings
from collections.abc import Iterator
from pathlib import Path

# Documented in prose, and installed with the hub. A package that is absent is left out.
PACKAGES = [
    "boto3",
    "botocore",
    "duckdb",
    "fastapi",
    "fsspec",
    "huggingface_hub",
    "joblib",
    "networkx",
    "numpy",
    "onnx",
    "pydantic",
    "rich",
    "scipy",
    "sentence_transformers",
    "sklearn",
    "starlette",
    "sympy",
    "tokenizers",
    "torch",
    "transformers",
]
MIN_WORDS = 8
MAX_WORDS = 120
MAX_FILE_BYTES = 1_000_000

_WORD = re.compile(r"[A-Za-z]{2,}")
_CODE = re.compile(
    r">>>|-{4,}|^\s*(?:\.\. |[:@|+=#\-*]{1,3}\w)|[{}<>=]{2,}|\w+\(.*\)\s*$", re.MULTILINE
)


def real_texts(count: int, seed: int = 0) -> list[str]:
    """`count` distinct paragraphs in seeded order.

    Raises `ValueError` where the installed packages hold fewer.
    """
    chosen: dict[str, None] = {}
    files = source_files()
    random.Random(seed).shuffle(files)
    for path in files:
        for paragraph in _paragraphs(path):
            chosen.setdefault(paragraph)
        # Twice as many as asked for, so that no few long files make up the whole answer.
        if len(chosen) >= 2 * count:
            break
    if len(chosen) < count:
        raise ValueError(f"the installed packages hold {len(chosen)} texts, fewer than {count}")
    return random.Random(seed).sample(list(chosen), count)


def source_files() -> list[Path]:
    site = Path(sysconfig.get_paths()["purelib"])
    stdlib = Path(sysconfig.get_paths()["stdlib"])
    found = [path for name in PACKAGES for path in files_below(site / name, ".py")]
    found += files_below(stdlib, ".py")
    # By name, not by folder order, which differs between file systems.
    return sorted(path for path in found if path.stat().st_size <= MAX_FILE_BYTES)


def files_below(folder: Path, *suffixes: str) -> Iterator[Path]:
    """Those with one of the suffixes, in no order; of another environment's packages none."""
    for base, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if name != "site-packages"]
        yield from (Path(base, name) for name in files if name.endswith(suffixes))


def _paragraphs(path: Path) -> Iterator[str]:
    for docstring in docstrings(path):
        for block in re.split(r"\n\s*\n", docstring):
            paragraph = " ".join(block.split())
            if is_prose(block, paragraph):
                yield paragraph


def docstrings(path: Path) -> Iterator[str]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # old escapes in other people's strings
            tree = ast.parse(path.read_text(encoding="utf-8"))
    except (SyntaxError, UnicodeDecodeError, ValueError):
        return  # a template, or a test's deliberately broken file
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            yield ast.get_docstring(node, clean=True) or ""


def is_prose(block: str, paragraph: str) -> bool:
    words = _WORD.findall(paragraph)
    letters = sum(map(len, words))
    return (
        MIN_WORDS <= len(words) <= MAX_WORDS
        and letters >= 0.65 * len(paragraph)
        and not _CODE.search(block)
    )
