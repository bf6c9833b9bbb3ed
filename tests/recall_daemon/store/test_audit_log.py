"""The audit log: numbered, chained, and telling when somebody changed it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from recall_daemon.store import audit_log
from recall_daemon.store.audit_log import Act
from recall_daemon.store.store import Store

NOW = datetime(2026, 1, 1, 12, 30, 0, 123456, tzinfo=UTC)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = Store(tmp_path)
    for number in range(3):
        act = Act("admin:1", "memories.stored", "a" if number else None, {"rows": number})
        opened.write(lambda c, act=act: audit_log.append(c, act, NOW))  # type: ignore[misc]
    yield opened
    opened.close()


def problems(store: Store) -> list[str]:
    with store.read() as connection:
        return audit_log.problems(connection)


def run(store: Store, sql: str) -> None:
    store.write(lambda connection: connection.execute(sql).fetchall())


def test_entries_are_numbered_and_newest_first(store: Store) -> None:
    with store.read() as connection:
        assert [e.entry_no for e in audit_log.newest(connection, 2)] == [3, 2]
        assert [e.entry_no for e in audit_log.newest(connection, 2, before=2)] == [1]
        assert audit_log.newest(connection, 9, action="token.created") == []
    assert problems(store) == []


def test_the_chain_holds_across_a_restart(store: Store, tmp_path: Path) -> None:
    store.close()
    again = Store(tmp_path)
    again.write(lambda c: audit_log.append(c, Act("x", "y", None, {"é": "ü"}), NOW))
    assert problems(again) == []
    again.close()


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE audit_log SET actor = 'admin:2' WHERE entry_no = 2",
        "UPDATE audit_log SET body = '{}' WHERE entry_no = 2",
        "UPDATE audit_log SET happened_at = happened_at + INTERVAL 1 SECOND WHERE entry_no = 2",
        "UPDATE audit_log SET system_id = NULL WHERE entry_no = 2",
        "UPDATE audit_log SET hash = 'x' WHERE entry_no = 2",
        "DELETE FROM audit_log WHERE entry_no = 2",
        "DELETE FROM audit_log WHERE entry_no = 1",
    ],
)
def test_a_change_shows(store: Store, change: str) -> None:
    run(store, change)
    assert len(problems(store)) == 1


def test_a_missing_end_shows(store: Store) -> None:
    run(store, "DELETE FROM audit_log WHERE entry_no = 3")
    assert problems(store) == ["entry 3 of the audit log is missing"]
