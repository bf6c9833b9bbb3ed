"""The machine's hash and the default system id."""

from __future__ import annotations

import pytest

from recall_uploader.machine import default_system_id, machine_hash
from recall_wire.layout import check_system_id


def test_the_hash_is_stable_and_does_not_show_the_id() -> None:
    assert machine_hash() == machine_hash()
    assert machine_hash("container-7") != machine_hash("container-8")
    assert "container" not in machine_hash("container-7")
    assert len(machine_hash()) == 32


@pytest.mark.parametrize("host", ["laptop", "büro mac", "../../etc", "", "x" * 300, "-a", "東京"])
def test_any_host_name_gives_a_system_id(host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("socket.gethostname", lambda: host)
    system_id = default_system_id("abcd1234")
    assert check_system_id(system_id).endswith("-abcd")
