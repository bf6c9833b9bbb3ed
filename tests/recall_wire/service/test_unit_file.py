"""Service files on the disk."""

from __future__ import annotations

from pathlib import Path

import pytest

from recall_wire.errors import SettingsInvalid
from recall_wire.service.unit_file import UnitFolder
from recall_wire.service.unit_text import marked_unit

NAME = "a.service"


def units(program: str) -> dict[str, str]:
    texts = {NAME: f"[Service]\nExecStart={program}\n", "a.timer": "[Timer]\nOnCalendar=hourly\n"}
    return {name: marked_unit(text, by="recall") for name, text in texts.items()}


OLD, NEW = units("/old/recall"), units("/new/recall")


@pytest.fixture
def folder(tmp_path: Path) -> UnitFolder:
    return UnitFolder(tmp_path / "a b" / "user")


def test_what_we_wrote_is_replaced_and_removed(folder: UnitFolder) -> None:
    assert folder.state(NAME) == "absent"
    assert folder.write(OLD, force=False) == list(OLD)
    assert folder.write(OLD, force=False) == []
    assert folder.state(NAME) == "installed"
    assert folder.write(NEW, force=False) == [NAME]
    assert (folder.path / NAME).read_text() == NEW[NAME]
    assert all(folder.remove(name) for name in (*NEW, NAME))
    assert list(folder.path.iterdir()) == []


@pytest.mark.parametrize("text", [OLD[NAME] + "# mine\n", "[Unit]\n", "", b"\xff"])
def test_what_somebody_wrote_stays(folder: UnitFolder, text: str | bytes) -> None:
    data = text.encode() if isinstance(text, str) else text
    folder.path.mkdir(parents=True)
    (folder.path / NAME).write_bytes(data)

    with pytest.raises(SettingsInvalid, match="--force"):
        folder.write(NEW, force=False)
    assert [path.name for path in folder.path.iterdir()] == [NAME]
    assert not folder.remove(NAME)
    assert (folder.path / NAME).read_bytes() == data

    folder.write(NEW, force=True)
    assert (folder.path / NAME).read_text() == NEW[NAME]
    assert (folder.path / f"{NAME}.bak").read_bytes() == data


def test_a_masked_unit_stays(folder: UnitFolder) -> None:
    folder.path.mkdir(parents=True)
    (folder.path / NAME).symlink_to("/dev/null")
    assert folder.state(NAME) == "foreign"
    with pytest.raises(SettingsInvalid, match="by hand"):
        folder.write(NEW, force=False)
    assert not folder.remove(NAME)
    assert (folder.path / NAME).is_symlink()
