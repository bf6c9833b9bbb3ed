"""The wheel alone, without the hub's extra, in a clean environment: light, and it works."""

from __future__ import annotations

import os
import subprocess
import sys
import venv
from importlib.metadata import Distribution, distribution
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
HEAVY = ("torch", "faiss", "aioboto3", "onnxruntime", "sentence_transformers", "fastapi")


def run(*command: str | Path, **environment: str) -> str:
    done = subprocess.run(
        command, env=os.environ | environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def link_what_is_declared(environment: Path) -> None:
    """Into an environment with the wheel: all that it needs by its own words, and they by theirs.

    Linked from this environment, which has the same versions: to install them takes 20 s.
    """
    (site,) = environment.glob("lib/python*/site-packages")
    (wheel,) = Distribution.discover(name="recalld", path=[str(site)])
    wanted, found = list(wheel.requires or []), set()
    while wanted:
        requirement = Requirement(wanted.pop())
        name = canonicalize_name(requirement.name)
        marker = requirement.marker
        if name in found or (marker is not None and not marker.evaluate({"extra": ""})):
            continue
        found.add(name)
        needed = distribution(name)
        wanted += needed.requires or []
        for top in {file.parts[0] for file in needed.files or []} - {"..", "__pycache__"}:
            (site / top).symlink_to(Path(str(needed.locate_file(top))))


@pytest.mark.timeout(300)
def test_an_instance_needs_none_of_the_hubs_libraries(tmp_path: Path) -> None:
    run(sys.executable, "-m", "build", "--wheel", "--outdir", tmp_path, ROOT)
    (wheel,) = tmp_path.glob("recalld-*.whl")
    venv.create(tmp_path / "venv")
    bin_ = tmp_path / "venv" / "bin"
    pip = (sys.executable, "-m", "pip", "--python", bin_ / "python", "--disable-pip-version-check")
    run(*pip, "install", "--quiet", "--no-deps", wheel)
    link_what_is_declared(bin_.parent)

    assert "upload" in run(bin_ / "recall", "--help")
    probe = f"import importlib.util as u; print([m for m in {HEAVY} if u.find_spec(m)])"
    assert run(bin_ / "python", "-c", probe).strip() == "[]"
    asked = "from recall_client import *; print(MemoryClient('http://127.0.0.1:1').get_memory('m'))"
    assert "hub_unreachable" in run(bin_ / "python", "-c", asked)

    source = tmp_path / "notes.jsonl"
    source.write_text('{"memory_id": "m", "text": "a note"}\n', encoding="utf-8")
    (tmp_path / "bucket").mkdir()
    settings = {
        "RECALL_BUCKET_URL": f"file://{tmp_path / 'bucket'}",
        "RECALL_STATE_DIR": str(tmp_path / "state"),
        "RECALL_SYSTEM_ID": "light",
    }
    assert '"committed"' in run(bin_ / "recall", "upload", source, "--json", **settings)


def test_the_hubs_command_without_its_extra_says_what_to_install(tmp_path: Path) -> None:
    # The extra's libraries are hidden from a child process, as if they had never been installed.
    hide = "import sys; sys.modules['structlog'] = None; import recall_daemon.cli as c; c.main()"
    done = subprocess.run(
        [sys.executable, "-c", hide], capture_output=True, text=True, check=False, cwd=tmp_path
    )
    assert done.returncode == 2
    assert done.stderr.strip() == (
        "recalld: the hub's libraries are not installed; run pip install 'recalld[daemon]'"
    )
