"""A process whose files may not grow past a limit, and whose index then has to go on.

Prints one JSON object: what each `apply` did, and whether the answers are those of brute force.
"""

from __future__ import annotations

import json
import resource
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))  # conftest, index_life

from index_life import DIM, Life

from conftest import MemoryStore
from recall_daemon.index import codes, spaces, vectors
from recall_daemon.index.follower import Index, IndexFailed

UNLIMITED = resource.getrlimit(resource.RLIMIT_FSIZE)


def limit(file_bytes: int | None) -> None:
    soft = UNLIMITED[0] if file_bytes is None else file_bytes
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, UNLIMITED[1]))


def grown(folder: Path) -> Life:
    life = Life(MemoryStore(), folder, 3)
    for _ in range(200):
        life.step()
    life.store.page_rows = 1_000
    life.check()
    return life


def try_to_apply(life: Life) -> str:
    before = life.index.search_words("red", k=99)
    try:
        life.index.apply(life.store)
    except IndexFailed as error:
        assert life.index.search_words("red", k=99) == before
        return type(error).__name__
    finally:
        # What was asked to be sealed has ended.
        space = life.index._state.space
        if space.is_sealing:
            space._done.wait()
    return life.index.counts.why_not_sealed or "applied"


def main(folder: Path, file_bytes: int) -> None:
    vectors.TAIL_MIN, codes.EXACT_MAX, spaces.SEAL_AGAIN_S = 8, 2, 0.0
    life = grown(folder)
    said = []
    for _ in range(3):
        for _ in range(30):
            life.put()
            life.embed()
        life._drop_vectors()
        limit(file_bytes)
        said += [try_to_apply(life), try_to_apply(life)]
        limit(None)
    life.index.apply(life.store)
    life.seal()
    life.check()
    documents = [row_id for piece in life.index.view().words.row_ids() for row_id in piece]
    assert documents == sorted(life.store.live_rows)
    life.close()
    left_over = {path.name.split(".")[0] for path in folder.rglob("vectors/*/*.f16")}
    assert len(left_over) == 1, left_over
    life.index = Index(DIM, folder)
    life.check()
    life.index.close()
    print(json.dumps(said))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
