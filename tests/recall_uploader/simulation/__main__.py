"""A simulated instance, seed by seed: `python tests/recall_uploader/simulation --seed 17`.

Single-threaded, so that it can fork: every run of the instance is a process that may be killed.
`weather` what is wrong with the line · `steps` where a run may die · `session` one run ·
`world` one seed's story · `oracle` what must be true at its end.
"""

from __future__ import annotations

import argparse
import gc
import os
import shutil
import sys
import tempfile
from importlib import import_module
from pathlib import Path

from session import in_child
from world import World

TOLD_LINES = 150
SEED_HUNG_S = 600.0
FOLDER = "tests/recall_uploader/simulation"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, required=True, help="the first, or the only one")
    parser.add_argument("--count", type=int, default=1, help="how many, one after the other")
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="work there and leave it")
    parser.add_argument("--verbose", action="store_true", help="tell the story of each seed")
    asked = parser.parse_args()
    _import_all()
    failed = [
        seed
        for seed in range(asked.seed, asked.seed + asked.count)
        if not _passes(seed, asked.keep, asked.verbose)
    ]
    gc.unfreeze()
    if failed:
        print(f"failed: {', '.join(map(str, failed))}")
    return bool(failed)


def _passes(seed: int, keep: Path | None, verbose: bool) -> bool:
    folder = (keep or _scratch()) / f"seed-{seed}"
    try:
        said = in_child(lambda: _live(folder, seed), hung_s=SEED_HUNG_S) or {}
    finally:
        story = (folder / "diary").read_text() if (folder / "diary").exists() else ""
        if keep is None:
            shutil.rmtree(folder.parent)
    if verbose or said:
        print("\n".join(story.splitlines()[-TOLD_LINES:]))
    if said:
        print(f"{said['traceback']}\nseed {seed} failed; alone: python {FOLDER} --seed {seed}")
    return not said


def _scratch() -> Path:
    """In memory where there is such a place: a kill is no power cut."""
    memory = Path("/dev/shm")
    place = memory if os.access(memory, os.W_OK) else None
    return Path(tempfile.mkdtemp(prefix="recall-simulation-", dir=place))


def _live(folder: Path, seed: int) -> dict[str, object]:
    """In a process of its own: its end starts threads, and no other seed forks from those."""
    World(folder, seed).live()
    return {}


def _import_all() -> None:
    """Before the first fork: what a child imports it would import again in every run."""
    for module in ("recall_wire.formats.jsonl_file", "recall_uploader.sources.written"):
        import_module(module)
    gc.freeze()


if __name__ == "__main__":
    sys.exit(main())
