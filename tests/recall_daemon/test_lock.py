"""One process per data folder, and where the running one answers."""

from __future__ import annotations

from pathlib import Path

import pytest

from recall_daemon.errors import StoreBusy
from recall_daemon.lock import FolderLock, running_at


def test_nobody_holds_a_folder_that_is_not_there(tmp_path: Path) -> None:
    assert running_at(tmp_path / "none") is None


def test_the_holder_says_where_it_answers(tmp_path: Path) -> None:
    lock = FolderLock(tmp_path)
    with pytest.raises(StoreBusy, match="try again when it has finished"):
        running_at(tmp_path)
    lock.announce("http://127.0.0.1:1")
    assert running_at(tmp_path) == "http://127.0.0.1:1"
    with pytest.raises(StoreBusy, match="another recalld holds"):
        FolderLock(tmp_path)

    lock.release()
    assert running_at(tmp_path) is None
    FolderLock(tmp_path).release()


def test_a_lock_file_full_of_garbage_is_no_address(tmp_path: Path) -> None:
    lock = FolderLock(tmp_path)
    (tmp_path / "recalld.lock").write_bytes(b"\xff{[")
    with pytest.raises(StoreBusy):
        running_at(tmp_path)
    lock.release()
