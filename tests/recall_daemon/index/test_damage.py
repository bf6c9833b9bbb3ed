"""Whatever becomes of the index's files, the next start answers as brute force does."""

from __future__ import annotations

import copy
import json
import os
import random
import shutil
import sys
from pathlib import Path

import pytest
from structlog.testing import capture_logs

sys.path.insert(0, str(Path(__file__).parent))  # index_life

from index_life import DIM, Life

from recall_daemon.index.durable import write_json
from recall_daemon.index.follower import Index


@pytest.fixture(scope="module")
def grown(new_store, tmp_path_factory):
    """A store, and the folder of its index with a segment and a tail."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("recall_daemon.index.vectors.TAIL_MIN", 8)
        life = Life(new_store(), tmp_path_factory.mktemp("grown") / "index", 1)
        for _ in range(300):
            life.step()
        life.store.page_rows = 1_000
        life.check()
        life.close()
    assert list(life.folder.rglob("segment.json"))
    return life


@pytest.fixture
def life(grown, tmp_path, small_segments):
    """A life of its own that begins with all that."""
    shutil.copytree(grown.folder, tmp_path / "index")
    life = copy.copy(grown)
    life.store, life.folder = copy.deepcopy(grown.store), tmp_path / "index"
    return life


def truncated(path, chance):
    path.write_bytes(path.read_bytes()[: chance.randrange(path.stat().st_size)])


def flipped(path, chance):
    data = bytearray(path.read_bytes())
    data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
    path.write_bytes(data)


def lengthened(path, chance):
    path.write_bytes(path.read_bytes() + chance.randbytes(chance.randrange(1, 99)))


def emptied(path, chance):
    path.write_bytes(b"")


def removed(path, chance):
    path.unlink()


def made_a_folder(path, chance):
    path.unlink()
    (path / "inside").mkdir(parents=True)


def unreadable(path, chance):
    """A link to itself: nobody can open it, not even root."""
    path.unlink()
    path.symlink_to(path.name)


KINDS = [truncated, flipped, lengthened, emptied, removed, made_a_folder, unreadable]
# Of the files; each kind of damage befalls others than the one before.
EVERY = 1 if "RECALLD_TEST_SOAK" in os.environ else 2


def reopened(life, folder):
    """Opens the folder, checks the answers; returns what was logged. Then all is in order again."""
    life.folder, life.index = folder, Index(DIM, folder)
    with capture_logs() as logs:
        life.check()
    life.close()
    life.index = Index(DIM, folder)
    with capture_logs() as later:
        life.check()
    life.close()
    assert later == []
    assert {entry["event"] for entry in logs} <= {"index.damaged"}
    parts = [entry["part"] for entry in logs]
    assert len(parts) == len(set(parts)), "said once"
    return parts


@pytest.mark.parametrize("damage", KINDS)
def test_any_file_that_is_damaged_is_made_anew(life, tmp_path, damage):
    chance = random.Random(damage.__name__)
    grown = life.folder
    files = [path for path in sorted(grown.rglob("*")) if path.is_file() and path.stat().st_size]
    said = []
    for number, path in enumerate(files[KINDS.index(damage) % EVERY :: EVERY]):
        folder = tmp_path / f"copy{number}"
        shutil.copytree(grown, folder)
        damage(folder / path.relative_to(grown), chance)
        said += reopened(life, folder)
    # What is lengthened may only have more than is read of it.
    assert set(said) <= {"words", "vectors"}
    assert damage is lengthened or {"words", "vectors"} == set(said)


@pytest.mark.parametrize("part", ["", "1", "1/words", "1/vectors", "1/vectors/*"])
@pytest.mark.parametrize("damage", [removed, unreadable, emptied])
def test_any_folder_that_is_damaged_is_made_anew(life, part, damage):
    (folder,) = life.folder.parent.glob(f"{life.folder.name}/{part}".rstrip("/"))
    shutil.rmtree(folder)
    if damage is not removed:
        folder.touch()
        damage(folder, None)
    # A folder that is gone is one that was never made: nothing is said of it.
    assert set(reopened(life, life.folder)) <= {"words", "vectors"}
    assert life.folder.is_dir()
    assert not life.folder.is_symlink()


@pytest.mark.parametrize("damage", ["store", "files"])
def test_an_index_of_another_store_is_made_anew(life, new_store, tmp_path, damage):
    other = new_store(store_id="another")
    stranger = Life(other, tmp_path / "stranger", 2)
    for _ in range(300):
        stranger.step()
    stranger.check()
    stranger.close()
    if damage == "store":
        assert sorted(reopened(life, stranger.folder)) == ["vectors", "words"]
        return
    grown = life.folder
    # What tantivy wrote says only of itself that it is whole.
    ours = [*grown.glob("1/vectors/*/*"), grown / "1" / "words" / "words.json"]
    for path in ours:
        name = path.name if path.suffix == ".json" else f"*{path.suffix}"
        (alike,) = stranger.folder.rglob(name)
        folder = tmp_path / "copy"
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(grown, folder)
        shutil.copyfile(alike, folder / path.relative_to(grown))
        assert len(reopened(life, folder)) == 1


@pytest.mark.parametrize("steps", [0, 5, 400])
def test_an_index_ahead_of_a_store_that_was_put_back_is_made_anew(life, steps):
    """The older copy may have gone on since, past where the index was."""
    older = copy.deepcopy(life.store)
    life.index = Index(DIM, life.folder)
    for _ in range(60):
        life.put()
        life.embed()
    life.check()
    life.close()
    life.store = older
    older.opened = older.change_no
    for _ in range(steps):
        life.put()
        life.embed()
        life._drop_vectors()
    life.index = Index(DIM, life.folder)
    with capture_logs() as logs:
        life.check()
    assert "words" in [entry["part"] for entry in logs]
    life.close()


HOSTILE = ["../..", "/", "", -1, 0.5, True, None, [1], {}, 10**400, float("inf"), "1", 2**64]


@pytest.mark.parametrize("generation", HOSTILE)
def test_a_generation_that_cannot_be_is_not_believed(life, generation):
    write_json(life.folder / "current.json", {"generation": generation})
    assert reopened(life, life.folder) == ["generation"]


@pytest.mark.parametrize(
    "data",
    [b"", b"{}", b"[]", b"null", b"\xff\x00", b"[" * 100_000, b'{"crc32": 0, "value": "{}"}'],
)
@pytest.mark.parametrize("name", ["current.json", "1/words/words.json", "1/vectors/*/segment.json"])
def test_what_says_what_there_is_may_say_anything(life, name, data):
    for path in [*life.folder.glob(name), life.folder / "current.json"][:1]:
        path.write_bytes(data)
    assert len(reopened(life, life.folder)) == 1


@pytest.mark.parametrize("key", ["generation", "dim", "vectors", "watermark", "files", "store_id"])
@pytest.mark.parametrize("value", [-1, 10**30, "x", None, [], {"a": [1, 2]}])
def test_a_manifest_with_any_value_is_not_believed(life, key, value):
    (path,) = life.folder.rglob("segment.json")
    manifest = json.loads(json.loads(path.read_text())["value"])
    write_json(path, {**manifest, key: value})
    assert reopened(life, life.folder) == ["vectors"]


def test_a_newer_generation_that_was_not_finished_is_removed(life):
    shutil.copytree(life.folder / "1", life.folder / "2")
    assert reopened(life, life.folder) == []
    assert [path.name for path in life.folder.iterdir()] == ["1"]
